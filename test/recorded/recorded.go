// Package recorded holds the recorded exchanges between a real Inngest server
// and apps built with the official SDKs, for the tests of every package.
// testdata/README.md says what was recorded and how; what a recording proves
// is up to the test that uses it. No package but tests may import this one.
package recorded

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
)

// The keys that the recorded server and apps had.
const (
	SigningKey = "signkey-prod-1234567890abcdef1234567890abcdef"
	EventKey   = "abcdef1234567890"
)

// Values of Exchange.Direction.
const (
	ToApp     = "to-app"     // the server calls the app
	ToInngest = "to-inngest" // an app or a person calls the server
)

//go:embed testdata/*.json
var files embed.FS

// An Exchange is one HTTP request and its response.
type Exchange struct {
	Number    int    // leads the name, unique
	Group     string // the word after the number: plain, checkpoint, sync, ...
	Name      string // name of the file without its ending
	Direction string // ToApp or ToInngest
	Request   Request
	Response  Response
}

// A Request is what was sent.
type Request struct {
	Method  string
	Target  string // origin form, with the query
	Headers []Header
	Body    []byte // as on the wire
}

// A Response is what came back.
type Response struct {
	Status  int
	Headers []Header
	Body    []byte // as on the wire, perhaps compressed
}

// A Header is one header line in its recorded spelling and order.
type Header struct{ Name, Value string }

// Get returns the value of the first header of that name, without regard to
// case, and the empty string if there is none.
func (r Request) Get(name string) string { return get(r.Headers, name) }

// Get returns the value of the first header of that name, without regard to
// case, and the empty string if there is none.
func (r Response) Get(name string) string { return get(r.Headers, name) }

// Plain returns the body with a gzip or br coding undone.
func (r Response) Plain(tb testing.TB) []byte {
	tb.Helper()
	var from io.Reader
	switch coding := r.Get("Content-Encoding"); coding {
	case "":
		return r.Body
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(r.Body))
		if err != nil {
			tb.Fatalf("inflate gzip: %v", err)
		}
		from = z
	case "br":
		from = brotli.NewReader(bytes.NewReader(r.Body))
	default:
		tb.Fatalf("recorded content coding %q is not known", coding)
	}
	plain, err := io.ReadAll(from)
	if err != nil {
		tb.Fatalf("inflate %s: %v", r.Get("Content-Encoding"), err)
	}
	return plain
}

// SignedAt returns the time that an X-Inngest-Signature header carries, for
// the clock of a test; the zero time if the text has none.
func SignedAt(header string) time.Time {
	t, _, _ := strings.Cut(strings.TrimPrefix(header, "t="), "&")
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// Load returns every recorded exchange in the order of their numbers. The
// caller owns the result.
func Load(tb testing.TB) []Exchange {
	tb.Helper()
	names, err := fs.Glob(files, "testdata/*.json")
	if err != nil {
		tb.Fatalf("recorded exchanges: %v", err)
	}
	all := make([]Exchange, len(names))
	for i, name := range names {
		all[i] = read(tb, name)
	}
	slices.SortFunc(all, func(a, b Exchange) int { return a.Number - b.Number })
	return all
}

// One returns the recorded exchange with that number.
func One(tb testing.TB, number int) Exchange {
	tb.Helper()
	names, err := fs.Glob(files, fmt.Sprintf("testdata/%02d-*.json", number))
	if err != nil || len(names) != 1 {
		tb.Fatalf("%d recorded exchanges have the number %d: %v", len(names), number, err)
	}
	return read(tb, names[0])
}

func read(tb testing.TB, name string) Exchange {
	tb.Helper()
	text, err := files.ReadFile(name)
	if err != nil {
		tb.Fatalf("recorded exchange: %v", err)
	}
	x, err := parse(text)
	if err != nil {
		tb.Fatalf("recorded exchange %s: %v", name, err)
	}
	return x
}

func get(headers []Header, name string) string {
	name = textproto.CanonicalMIMEHeaderKey(name)
	for _, h := range headers {
		if textproto.CanonicalMIMEHeaderKey(h.Name) == name {
			return h.Value
		}
	}
	return ""
}

// message is one side of an exchange as the files have it: body for text,
// bodyBase64 for anything else.
type message struct {
	Method     string
	Target     string
	Status     int
	Headers    [][2]string
	Body       string
	BodyBase64 []byte
}

func (m message) headers() []Header {
	hs := make([]Header, len(m.Headers))
	for i, h := range m.Headers {
		hs[i] = Header{h[0], h[1]}
	}
	return hs
}

func (m message) body() []byte {
	if m.BodyBase64 != nil {
		return m.BodyBase64
	}
	return []byte(m.Body)
}

func parse(text []byte) (Exchange, error) {
	var file struct {
		Name, Direction   string
		Request, Response message
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return Exchange{}, err
	}
	number, rest, _ := strings.Cut(file.Name, "-")
	group, _, _ := strings.Cut(rest, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return Exchange{}, fmt.Errorf("name %q has no number", file.Name)
	}
	return Exchange{
		Number:    n,
		Group:     group,
		Name:      file.Name,
		Direction: file.Direction,
		Request: Request{
			Method:  file.Request.Method,
			Target:  file.Request.Target,
			Headers: file.Request.headers(),
			Body:    file.Request.body(),
		},
		Response: Response{
			Status:  file.Response.Status,
			Headers: file.Response.headers(),
			Body:    file.Response.body(),
		},
	}, nil
}
