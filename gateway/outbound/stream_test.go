package outbound

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const tee = "/v1/realtime/publish/tee?channel=c&stream"

// teeDouble is an Inngest that tells what arrives of an upload, as it does.
func teeDouble(t *testing.T) (d *inngestDouble, arrived chan []byte) {
	arrived = make(chan []byte)
	d = newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				select {
				case arrived <- bytes.Clone(buf[:n]):
				case <-r.Context().Done():
				}
			}
			if err != nil {
				break
			}
		}
		io.WriteString(w, "done")
	})
	return d, arrived
}

func TestServer_passesUploadsAsTheyArrive(t *testing.T) {
	for _, declared := range []bool{false, true} {
		t.Run("declared length "+strconv.FormatBool(declared), func(t *testing.T) {
			d, arrived := teeDouble(t)
			l := serve(t, options(t, d.url, apps.Resign))
			pieces := [][]byte{[]byte("first"), []byte("second"), make([]byte, 10<<20)}
			rand.Read(pieces[2])
			whole := bytes.Join(pieces, nil)

			from, to := io.Pipe()
			req, err := http.NewRequest("POST", l.url+tee, from)
			if err != nil {
				t.Fatal(err)
			}
			if declared {
				req.ContentLength = int64(len(whole))
			}
			req.Header.Set("Authorization", "Bearer "+localKey)
			result := make(chan string, 1)
			go func() {
				res, err := l.client.Do(req)
				if err != nil {
					result <- err.Error()
					return
				}
				defer res.Body.Close()
				text, err := io.ReadAll(res.Body)
				result <- fmt.Sprint(res.StatusCode, " ", string(text), " ", err)
			}()
			var got []byte
			for _, piece := range pieces {
				// Each piece arrives before the next is sent.
				go to.Write(piece)
				for want := len(got) + len(piece); len(got) < want; {
					got = append(got, <-arrived...)
				}
			}
			to.Close()
			if r := <-result; r != "200 done <nil>" {
				t.Errorf("answer = %s", r)
			}
			if sha256.Sum256(got) != sha256.Sum256(whole) {
				t.Errorf("inngest got %d bytes that are not those sent", len(got))
			}
		})
	}
}

func TestServer_answersAnUploadThatInngestRefusesEarly(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // or it would wait for the body
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	l := serve(t, options(t, d.url, apps.Resign))
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", tee, localKey)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 413 || string(body) != "too much\n" || !res.Close {
		t.Errorf("answer = %d %q, closing %v, %v", res.StatusCode, body, res.Close, err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection lives on in the middle of an upload")
	}
}

func TestServer_endsAnUploadThatFallsSilent(t *testing.T) {
	d, arrived := teeDouble(t)
	o := options(t, d.url, apps.Resign)
	o.StreamIdle = 50 * time.Millisecond
	l := serve(t, o)
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", tee, localKey)
	if got := <-arrived; string(got) != "first" {
		t.Errorf("arrived = %q", got)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 408 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeBodyTooSlow) {
		t.Errorf("answer = %d %v, want 408 body_too_slow", res.StatusCode, res.Header)
	}
}

func TestServer_endsAnUploadThatInngestDoesNotTake(t *testing.T) {
	release := make(chan struct{})
	d := newInngest(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	o := options(t, d.url, apps.Resign)
	o.StreamIdle, o.AnswerTimeout = 50*time.Millisecond, 50*time.Millisecond
	l := serve(t, o)
	// More than the buffers of two connections hold.
	req, err := http.NewRequest("POST", l.url+tee, io.LimitReader(zeros{}, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+localKey)
	if res, err := l.client.Do(req); err == nil { // else the end of the connection came first
		res.Body.Close()
		if res.StatusCode != 502 {
			t.Errorf("answer = %d, want 502", res.StatusCode)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestServer_refusesABodyThatDoesNotArrive(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url, apps.Resign)
	o.BodyTimeout = 50 * time.Millisecond
	l := serve(t, o)
	res := l.raw(t, "POST /v1/signals HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+localKey+"\r\nContent-Length: 10\r\n\r\nabc")
	if res.StatusCode != 408 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeBodyTooSlow) || len(d.got()) != 0 {
		t.Errorf("answer = %d %v, want 408 body_too_slow", res.StatusCode, res.Header)
	}
}

func TestServer_passesEventStreamsAsTheyCome(t *testing.T) {
	more := make(chan string)
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case text, ok := <-more:
				if !ok {
					return
				}
				io.WriteString(w, text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	l := serve(t, options(t, d.url, apps.Resign))
	res, err := l.client.Get(l.url + "/v1/realtime/sse?token=x") // the head comes before any event
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type = %s", ct)
	}
	for i := range 3 {
		event := fmt.Sprintf("data: %d\n\n", i)
		more <- event
		got := make([]byte, len(event))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
			t.Fatalf("read %q, %v, want %q", got, err, event)
		}
	}
	close(more)
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestServer_letsGoOfAStreamThatNobodyReads(t *testing.T) {
	gone := make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			io.WriteString(w, ":\n\n")
			w.(http.Flusher).Flush()
		}
	})
	l := serve(t, options(t, d.url, apps.Resign))
	res, err := l.client.Get(l.url + "/v1/realtime/sse")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-gone
}

func TestServer_cutsAnswersThatBreakOff(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	l := serve(t, options(t, d.url, apps.Resign))
	res, err := l.client.Get(l.url + "/v1/realtime/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("read %q to a clean end", text)
	}
}

func TestServer_endsAStreamThatFallsSilent(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	o := options(t, d.url, apps.Resign)
	o.StreamIdle = 50 * time.Millisecond
	l := serve(t, o)
	res, err := l.client.Get(l.url + "/v1/realtime/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("read %q to a clean end", text)
	}
}

func TestServer_waitsForOutputLongerThanForOthers(t *testing.T) {
	release := make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			io.WriteString(w, "output")
		case <-r.Context().Done():
		}
	})
	o := options(t, d.url, apps.Resign)
	o.AnswerTimeout = 50 * time.Millisecond
	l := serve(t, o)
	output := make(chan string, 1)
	go func() {
		res, err := l.client.Get(l.url + "/v1/http/runs/r/output?token=x")
		if err != nil {
			output <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		output <- string(text)
	}()
	// An ordinary request that begins later is given up meanwhile.
	res, body := l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+localKey)
	if res.StatusCode != 502 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeInngestUnavailable) {
		t.Errorf("answer = %d %s, want 502 inngest_unavailable", res.StatusCode, body)
	}
	close(release)
	if got := <-output; got != "output" {
		t.Errorf("output = %q", got)
	}
}

func TestServer_shutdownEndsStreamsAndWaitsForOthers(t *testing.T) {
	asked, release := make(chan string, 2), make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		asked <- r.URL.Path
		if r.URL.Path == "/v1/signals" {
			<-release
			io.WriteString(w, "late")
			return
		}
		<-r.Context().Done()
	})
	l := serve(t, options(t, d.url, apps.Strip))
	stream, err := l.client.Get(l.url + "/v1/realtime/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	late, err := l.client.Post(l.url+"/v1/signals", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Body.Close()
	<-asked
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- l.Shutdown(context.Background()) }()
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream came to a clean end")
	}
	close(release)
	if text, err := io.ReadAll(late.Body); err != nil || string(text) != "late" {
		t.Errorf("the other request: %q, %v", text, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if err := l.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown = %v", err)
	}
}

func TestServer_shutdownCutsWhatDoesNotEnd(t *testing.T) {
	asked := make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	l := serve(t, options(t, d.url, apps.Strip))
	answer := make(chan int, 1)
	go func() {
		res, err := l.client.Post(l.url+"/v1/signals", "", nil)
		if err != nil {
			answer <- 0
			return
		}
		res.Body.Close()
		answer <- res.StatusCode
	}()
	<-asked
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Shutdown(ctx); err == nil {
		t.Error("Shutdown = nil, want an error that says what was cut")
	}
	if got := <-answer; got != 503 {
		t.Errorf("answer = %d, want 503", got)
	}
}
