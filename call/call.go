// Package call holds the two values that travel through the gateway: a [Call]
// on its way to an app and its [Answer]. It leaves all work on them to the
// stages (gateway/inbound, gateway/admission, pool, functions), which are
// functions of (context, *Call).
package call

import (
	"bytes"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Call is one request that the gateway believes, on its way to an app. All
// its bytes belong to the call until its answer is released; nothing in it may
// be kept longer without a copy. A Call is used by one goroutine at a time.
type Call struct {
	App         string           // id of the app: for logs and labels
	Method      string           // POST but for introspection, syncs and durable endpoints
	Target      []byte           // origin-form target at the endpoint: its configured path and the caller's query
	Head        []byte           // validated header lines, each ended by CRLF; without Host, length, hop-by-hop and signature
	Signature   []byte           // value of X-Inngest-Signature to send; none if empty
	Body        []byte           // as signed by the caller, or as sealed for the app
	Identity    inngest.Identity // from the signed body; zero for probes, syncs and durable re-entries
	Received    time.Time        // when the head was complete
	WholeAnswer bool             // the answer's body must be complete before it is used: never stream
	Timeout     time.Duration    // what the app may take for it from when it is sent, its whole answer included; 0: the upstream's own limits. With WholeAnswer only
	NoResend    bool             // must not be sent again even if nothing reached the app
	Plain       bool             // goes to a backend without an SDK, whose errors are its own
	Gone        func() bool      // tells whether the caller hung up meanwhile; may be nil; not to be called after Do returned
	Waits       bool             // a run waits for the answer: the call may be parked; not so syncs, introspections and trust probes
	Signed      time.Time        // time in the caller's signature, where that was verified; zero if not
	Reseal      func() error     // makes a new signature for the app in Signature; nil where the app sees the caller's own, or none
}

// An Answer is what an app, or the gateway in its place, says to a Call. Who
// gets one must call Release exactly once, when Body and Fields are no longer
// needed.
type Answer struct {
	Status   int
	Fields   []Field       // end-to-end header fields in order, without length and coding of the connection
	Body     []byte        // whole body, where Stream is nil
	Stream   io.ReadCloser // the body as it arrives; the reader closes it
	Length   int64         // declared length of Stream, -1 unknown
	Endpoint string        // endpoint that answered; empty if the gateway did
	Code     inngest.Code  // set where the gateway itself made the answer
	Cause    error         // what made the gateway refuse; for the log, never for the caller
	Settled  bool          // set before Release by who has passed the answer on, or will not: nobody needs it again
	Free     func(*Answer) // returns buffers and budget; may be nil
}

// A Field is one header field. Names compare without regard to case.
type Field struct{ Name, Value []byte }

// Get returns the value of the first field with that name, nil if there is none.
func (a *Answer) Get(name string) []byte {
	for i := range a.Fields {
		if equalFold(a.Fields[i].Name, name) {
			return a.Fields[i].Value
		}
	}
	return nil
}

// Has tells whether a field with that name is there, even if empty.
func (a *Answer) Has(name string) bool {
	for i := range a.Fields {
		if equalFold(a.Fields[i].Name, name) {
			return true
		}
	}
	return false
}

// Set replaces every field of that name by one.
func (a *Answer) Set(name, value string) {
	a.Del(name)
	a.Fields = append(a.Fields, Field{[]byte(name), []byte(value)})
}

// Del removes every field of that name.
func (a *Answer) Del(name string) {
	kept := a.Fields[:0]
	for _, f := range a.Fields {
		if !equalFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	a.Fields = kept
}

// FromSDK tells whether an Inngest SDK made the answer: its own errors are
// answers, not failures of the endpoint.
func (a *Answer) FromSDK() bool {
	return a.Has(inngest.HeaderSDK) || a.Has(inngest.HeaderSDKHandled)
}

// Release closes the stream, if any, and returns the answer's buffers.
func (a *Answer) Release() {
	if a.Stream != nil {
		a.Stream.Close()
		a.Stream = nil
	}
	if free := a.Free; free != nil {
		a.Free = nil
		free(a)
	}
}

func equalFold(b []byte, s string) bool {
	return len(b) == len(s) && bytes.EqualFold(b, []byte(s))
}
