package inbound

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// streamed is an answer whose body is written to the returned pipe.
func streamed(status int) (*call.Answer, *io.PipeWriter) {
	r, w := io.Pipe()
	a := answer(status, "", "X-Inngest-Sdk", "js", "Content-Type", "application/json")
	a.Body, a.Stream, a.Length = nil, r, -1
	return a, w
}

func TestStream_arrivesAsItIsSent(t *testing.T) {
	for _, status := range []int{200, 201} {
		g := newGateway(t, nil)
		a, w := streamed(status)
		g.app.answers(a)
		c := dial(t, g.addr)
		c.send(signedCall(t, callBody("run1")))
		r, err := http.ReadResponse(c.in, nil) // the head comes before the first byte of the body
		if err != nil || r.StatusCode != status {
			t.Fatalf("head of the answer: %v", err)
		}
		body := bufio.NewReader(r.Body)
		for _, part := range []string{" ", " \n", `{"status":200}`} {
			io.WriteString(w, part)
			got := make([]byte, len(part))
			if _, err := io.ReadFull(body, got); err != nil || string(got) != part {
				t.Fatalf("status %d: read %q, %v; want %q before the next part is sent", status, got, err, part)
			}
		}
		w.Close()
		if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
			t.Errorf("status %d: at the end: %q, %v", status, rest, err)
		}
		g.app.does(nil)
		c.send(signedCall(t, callBody("run1"))) // the connection is still good
		if r := c.reply("POST"); r.StatusCode != 200 {
			t.Errorf("next answer = %d", r.StatusCode)
		}
	}
}

func TestStream_thatBreaksOffDoesNotLookComplete(t *testing.T) {
	g := newGateway(t, nil)
	a, w := streamed(200)
	g.app.answers(a)
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "half")
	w.CloseWithError(errors.New("app died"))
	if b, err := io.ReadAll(r.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "half" {
		t.Errorf("read %q, %v; want half of it and io.ErrUnexpectedEOF", b, err)
	}
	eventually(t, "the log tells", func() bool { return strings.Contains(g.log.text(), "app died") })
}

func TestStream_isClosedWhenTheCallerHangsUp(t *testing.T) {
	g := newGateway(t, nil)
	a, w := streamed(200)
	g.app.answers(a)
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	if _, err := http.ReadResponse(c.in, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "writing to the stream fails", func() bool {
		_, err := io.WriteString(w, strings.Repeat("a", 4096))
		return errors.Is(err, io.ErrClosedPipe)
	})
}

func TestStream_isHeldForCallersOfHTTP10(t *testing.T) {
	g := newGateway(t, nil)
	a, w := streamed(200)
	g.app.answers(a)
	go func() {
		io.WriteString(w, "one ")
		io.WriteString(w, "two")
		w.Close()
	}()
	body := callBody("run1")
	r := g.ask(t, message("POST /api/inngest HTTP/1.0", body, "X-Inngest-Signature: "+sign(t, body)))
	if r.text != "one two" || r.ContentLength != 7 || len(r.TransferEncoding) != 0 || !r.Close {
		t.Errorf("answer = %q, length %d, %v", r.text, r.ContentLength, r.TransferEncoding)
	}
}

func TestStream_ofAnAppThatSignsIsHeldUnlessCreated(t *testing.T) {
	for status, streams := range map[int]bool{200: false, 201: true} {
		p := &pairDouble{whole: true}
		sealed := make(chan bool, 1)
		p.sealReply = func(a *call.Answer) error { sealed <- a.Stream != nil; return nil }
		g := newGateway(t, func(s *setup) { s.Pair = p })
		a, w := streamed(status)
		g.app.answers(a)
		go func() {
			io.WriteString(w, "  {}")
			w.Close()
		}()
		if r := g.ask(t, signedCall(t, callBody("run1"))); r.text != "  {}" {
			t.Errorf("%d: answer = %q", status, r.text)
		}
		if got := <-sealed; got != streams {
			t.Errorf("%d: SealAnswer saw a stream: %v, want %v", status, got, streams)
		}
	}
}

func TestStream_overTheLimitIsRefusedWhereItIsHeld(t *testing.T) {
	g := newGateway(t, func(s *setup) { s.Pair = &pairDouble{whole: true}; s.MaxAnswer = 1 << 20 })
	a, w := streamed(200)
	g.app.answers(a)
	go func() {
		_, err := io.WriteString(w, strings.Repeat("a", 1<<20+1))
		w.CloseWithError(err)
	}()
	r := g.ask(t, signedCall(t, callBody("run1")))
	if p := problemOf(t, r); p.Code != "upstream_too_large" || p.Limit != "1MiB" || p.Setting != "limits.answer" {
		t.Errorf("answer = %d %+v", r.StatusCode, p)
	}
}
