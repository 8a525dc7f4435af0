package devserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A recording is one exchange with a real server, see the fixtures' README.
type recording struct {
	Request  recorded
	Response recorded
}

type recorded struct {
	Method, Target string
	Status         int
	Headers        [][2]string
	Body           *string
	BodyBase64     string
}

// record loads the recording with that number.
func record(t testing.TB, number string) recording {
	t.Helper()
	paths, err := filepath.Glob("testdata/recordings/" + number + "-*.json")
	if err != nil || len(paths) != 1 {
		t.Fatalf("recording %s: %v, %d files", number, err, len(paths))
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%s: %v", paths[0], err)
	}
	return r
}

func (r recorded) body(t testing.TB) string {
	t.Helper()
	if r.Body != nil {
		return *r.Body
	}
	raw, err := base64.StdEncoding.DecodeString(r.BodyBase64)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (r recorded) header() http.Header {
	h := http.Header{}
	for _, f := range r.Headers {
		h.Add(f[0], f[1])
	}
	return h
}

// ask makes a recorded request of the server, with what the test changes.
func (r recorded) ask(t testing.TB, base string, change ...func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(r.Method, base+r.Target, strings.NewReader(r.body(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Headers {
		switch strings.ToLower(f[0]) {
		case "host", "connection", "content-length", "transfer-encoding", "accept-encoding":
		default:
			req.Header.Set(f[0], f[1])
		}
	}
	for _, c := range change {
		c(req)
	}
	return do(t, req)
}

// volatile are the values that differ from run to run.
var volatile = []struct {
	like *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b`), "ULID"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`"(job_id)":"[0-9a-z]{10,13}"`), `"$1":"JOB"`},
	{regexp.MustCompile(`"(qi_id)":"[A-Za-z0-9+/]{10,}={0,2}"`), `"$1":"QI"`},
	{regexp.MustCompile(`"(ts|expire)":1[5-9]\d{11}\b`), `"$1":"MILLIS"`},
	{regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+`), "JWT"},
	{regexp.MustCompile(`\b00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\b`), "TRACEPARENT"},
}

// steady replaces what differs from run to run.
func steady(text string) string {
	for _, v := range volatile {
		text = v.like.ReplaceAllString(text, v.as)
	}
	return text
}

// pretty is steady JSON, one value a line, for diffs.
func pretty(t testing.TB, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(steady(text)), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// answerDiffers compares an answer with the recorded one: status, body and the
// headers that mean something.
func answerDiffers(t testing.TB, want recorded, status int, h http.Header, body string) string {
	t.Helper()
	if status != want.Status || steady(body) != steady(want.body(t)) {
		return fmt.Sprintf("%d %q, want %d %q", status, steady(body), want.Status, steady(want.body(t)))
	}
	for _, name := range []string{"Content-Type", "Vary", "X-Inngest-Server-Kind", "X-Content-Type-Options"} {
		if got, want := h.Get(name), want.header().Get(name); got != want {
			return fmt.Sprintf("%s is %q, want %q", name, got, want)
		}
	}
	return ""
}
