package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A call request as the server sends it: the head in its order and spelling, the
// body in canonical form, with one finished step whose data makes up the size.
// What differs from call to call has a fixed width, so that it is written in
// place. Double angle brackets stand for it.
const (
	requestHead = "POST <<path>>?fnId=bench-echo&stepId=step HTTP/1.1\r\n" +
		"Host: <<host>>\r\n" +
		"User-Agent: Inngest\r\n" +
		"<<connection>>" +
		"Content-Length: <<length>>\r\n" +
		"Account-Id: 00000000-0000-4000-a000-000000000000\r\n" +
		"Content-Type: application/json\r\n" +
		"Traceparent: 00-e630c70f7aac443079e3d7cd4256b2be-a5c2b43c479c884f-01\r\n" +
		"Tracestate: inngest@traceref=%7B%22tp%22%3A%2200-d434c0989b7311594ce76df95a170a8e-26dee1bf1a3546f3-01%22%2C%22ts%22%3A%22%22%7D,inngest@fn=e962a245-590f-59f0-b54a-3e2b567830e8,inngest@app=5761e6d7-eb10-532c-aaa7-0e723be5982f\r\n" +
		"X-Inngest-Generation-Id: 1\r\n" +
		"X-Inngest-Job-Id: <<job>>\r\n" +
		"X-Inngest-Req-Version: -1\r\n" +
		"X-Inngest-Signature: <<signature>>\r\n" +
		"X-Inngest-Step-Id: step\r\n" +
		"X-Request-Id: <<run>>\r\n" +
		"X-Run-Id: <<run>>\r\n" +
		"<<encoding>>" +
		"\r\n"

	requestBody = `{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"e962a245-590f-59f0-b54a-3e2b567830e8",` +
		`"generation_id":1,"job_id":"<<job>>","max_attempts":5,"qi_id":"MmJoZmVjOHUxM255ajo6ZGVmYXVsdA==",` +
		`"request_id":"<<run>>","run_id":"<<run>>",` +
		`"stack":{"current":1,"stack":["86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"]},"step_id":"step","use_api":false},` +
		`"defers":{},` +
		`"event":{"data":{"n":1},"id":"01M85TYKH4RS9K601Y787WZF65","name":"bench/echo","ts":1795492367908,"user":{}},` +
		`"events":[{"data":{"n":1},"id":"01M85TYKH4RS9K601Y787WZF65","name":"bench/echo","ts":1795492367908,"user":{}}],` +
		`"steps":{"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8":{"data":"<<data>>"}},` +
		`"use_api":false,"version":-1}`
)

const (
	runWidth       = 26 // of a ULID
	jobWidth       = 13
	signatureWidth = len("t=") + 10 + len("&s=") + 64
)

// Form says what the requests of one target look like.
type Form struct {
	Host  string // of the target
	Path  string // of the app
	Size  int    // of the body, exactly
	Close bool   // the server's own way: Connection: close, and a connection for each call
	Gzip  bool   // offer gzip, as the server does
	Key   signature.Key
}

func (f Form) request() (message, error) { return NewRequest(f) }

func (f Form) fresh() bool { return f.Close }

// MinSize is the size of the smallest body of a Form.
func MinSize() int { return len(body("")) }

// A Request is one call request, made anew in place for each call.
type Request struct {
	key       signature.Key
	head      []byte
	body      []byte
	run       []byte // what the app's answer must name: a part of head
	places    places
	signature []byte
	number    uint64
	signed    time.Time
}

// places are what Prepare writes to: parts of head and body.
type places struct{ runs, jobs [][]byte }

// NewRequest returns a request that still needs Prepare.
func NewRequest(f Form) (*Request, error) {
	if f.Size < MinSize() {
		return nil, fmt.Errorf("a call request of %d bytes: the smallest has %d", f.Size, MinSize())
	}
	if f.Key.IsZero() {
		return nil, errors.New("a call request without a signing key")
	}
	connection, encoding := "", ""
	if f.Close {
		connection = "Connection: close\r\n"
	}
	if f.Gzip {
		encoding = "Accept-Encoding: gzip\r\n"
	}
	r := &Request{key: f.Key, body: []byte(body(data(f.Size - MinSize())))}
	r.head = []byte(replace(requestHead, map[string]string{
		"path": f.Path, "host": f.Host, "connection": connection, "encoding": encoding,
		"length": strconv.Itoa(f.Size), "job": mark('j', jobWidth), "run": mark('r', runWidth),
		"signature": mark('s', signatureWidth),
	}))
	r.places.runs = append(find(r.head, mark('r', runWidth)), find(r.body, mark('r', runWidth))...)
	r.places.jobs = append(find(r.head, mark('j', jobWidth)), find(r.body, mark('j', jobWidth))...)
	r.signature = find(r.head, mark('s', signatureWidth))[0]
	r.run = r.places.runs[0]
	return r, nil
}

// Run returns the run id of the request, good until the next Prepare.
func (r *Request) Run() []byte { return r.run }

// Prepare makes the request the one of the given number, signed for now.
func (r *Request) Prepare(number uint64, now time.Time) {
	var text [runWidth]byte
	digits(text[:], number)
	for _, place := range r.places.runs {
		copy(place, text[:])
	}
	for _, place := range r.places.jobs {
		copy(place, text[runWidth-jobWidth:])
	}
	signature.AppendSign(r.signature[:0], r.key, r.body, now)
	r.number, r.signed = number, now
}

// begin gives the calls that run at the same time different runs and jobs.
func (r *Request) begin(caller int, now time.Time) { r.Prepare(uint64(caller), now) }

// resign is the age at which a request is signed again; the gateway tolerates
// five minutes.
const resign = time.Minute

func (r *Request) next(now time.Time) {
	if now.Sub(r.signed) > resign {
		r.Prepare(r.number, now)
	}
}

func (r *Request) parts() (head, body []byte) { return r.head, r.body }

// check wants the app's answer to this run, with as many bytes as the request
// has.
func (r *Request) check(a *Answer) error {
	switch {
	case a.Status != 200 || !a.SDK:
		return fmt.Errorf("status %d, x-gateway-error %q", a.Status, a.Refusal)
	case !bytes.Equal(a.Run, r.run):
		return fmt.Errorf("the answer is to run %q, the call was of %q", a.Run, r.run)
	case len(a.Coding) == 0 && a.Size != int64(len(r.body)):
		return fmt.Errorf("answer of %d bytes, want %d", a.Size, len(r.body))
	}
	return nil
}

// digits fills text with number in the alphabet of ULIDs, zeros in front.
func digits(text []byte, number uint64) {
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number%32]
		number /= 32
	}
}

// Number returns the number that Prepare wrote into the run id of a request.
func Number(run []byte) (uint64, error) {
	if len(run) != runWidth {
		return 0, fmt.Errorf("run id %q has not %d digits", run, runWidth)
	}
	var n uint64
	for _, c := range run {
		i := bytes.IndexByte([]byte("0123456789ABCDEFGHJKMNPQRSTVWXYZ"), c)
		if i < 0 {
			return 0, fmt.Errorf("run id %q: %q is no digit", run, c)
		}
		n = n*32 + uint64(i)
	}
	return n, nil
}

func body(data string) string {
	return replace(requestBody, map[string]string{"job": mark('j', jobWidth), "run": mark('r', runWidth), "data": data})
}

// data returns n bytes that compress about as well as prose does.
func data(n int) string {
	var b bytes.Buffer
	for i := uint32(1); b.Len() < n; i++ {
		fmt.Fprintf(&b, "order %d of customer %x has been shipped; ", i, i*2654435761)
	}
	return b.String()[:n]
}

// mark is a text that occurs nowhere else in a request.
func mark(c byte, width int) string {
	return "~" + string(bytes.Repeat([]byte{c}, width-2)) + "~"
}

func replace(text string, values map[string]string) string {
	for name, value := range values {
		text = string(bytes.ReplaceAll([]byte(text), []byte("<<"+name+">>"), []byte(value)))
	}
	return text
}

// find returns every occurrence of text, sharing memory with b.
func find(b []byte, text string) [][]byte {
	var places [][]byte
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(text))
		if i < 0 {
			return places
		}
		at += i
		places = append(places, b[at:at+len(text):at+len(text)])
		at += len(text)
	}
}
