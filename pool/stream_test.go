package pool

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

func TestDo_streamsChunkedAnswers(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		x.Send("HTTP/1.1 201 Created\r\nX-Inngest-Sdk: js:v4\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := range 3 {
			x.Pause(300 * time.Millisecond)
			x.Send(fmt.Sprintf("2\r\n%d \r\n", i))
		}
		return x.Send("0\r\nX-Trailer: 1\r\n\r\n")
	}, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		for range 2 {
			began := time.Now()
			a, err := u.Do(t.Context(), post("x"))
			if err != nil {
				t.Fatal(err)
			}
			if a.Stream == nil || a.Length != -1 || time.Since(began) > 20*time.Millisecond {
				t.Fatalf("stream %v of length %d after %v", a.Stream, a.Length, time.Since(began))
			}
			if status := u.Status()[0]; status.Calls != 1 {
				t.Errorf("%d calls in flight while one streams", status.Calls)
			}
			buf := make([]byte, 100)
			n, err := a.Stream.Read(buf)
			if string(buf[:n]) != "0 " || err != nil || time.Since(began).Round(100*time.Millisecond) != 300*time.Millisecond {
				t.Errorf("first read: %q, %v after %v", buf[:n], err, time.Since(began))
			}
			if rest := read(t, a); rest != "1 2 " {
				t.Errorf("rest %q", rest)
			}
		}
		if app.Accepted() != 1 {
			t.Errorf("%d connections for two streams read to their end", app.Accepted())
		}
	})
}

func TestDo_readsWholeWhatMustBeWhole(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		whole  bool
	}{
		"asked for": {"201 Created", true},
		"206":       {"206 Partial Content", false},
		"an error":  {"500 Internal Server Error", false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(x *faultyapp.Exchange) bool {
				x.Send("HTTP/1.1 " + c.status + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
				x.Pause(time.Second)
				return x.Send("1\r\nb\r\n0\r\n\r\n")
			}, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
				cl := post("x")
				cl.WholeAnswer = c.whole
				a, err := u.Do(t.Context(), cl)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Release()
				if a.Stream != nil || string(a.Body) != "ab" {
					t.Errorf("stream %v, body %q", a.Stream, a.Body)
				}
			})
		})
	}
}

func TestStream_endsAsItsConnectionDoes(t *testing.T) {
	for name, c := range map[string]struct {
		rest func(x *faultyapp.Exchange) bool
		want inngest.Code
	}{
		"reset":   {func(x *faultyapp.Exchange) bool { x.Reset(); return false }, inngest.CodeUpstreamReset},
		"closed":  {func(*faultyapp.Exchange) bool { return false }, inngest.CodeUpstreamReset},
		"garbage": {func(x *faultyapp.Exchange) bool { return x.Send("-1\r\n") }, inngest.CodeUpstreamBadAnswer},
		"silence": {func(x *faultyapp.Exchange) bool { x.Hang(); return false }, inngest.CodeUpstreamTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(x *faultyapp.Exchange) bool {
				x.Send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
				x.Pause(time.Millisecond)
				return c.rest(x)
			}, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
				a, err := u.Do(t.Context(), post("x"))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(a.Stream)
				if e := wantError(t, err, c.want); string(body) != "a" || !e.Sent {
					t.Errorf("body %q before %v", body, e)
				}
				if _, again := a.Stream.Read(make([]byte, 1)); again != err {
					t.Errorf("the next read says %v", again)
				}
				a.Release()
			})
		})
	}
}

func TestStream_givesUpItsConnectionWhenClosedEarly(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		return x.Send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	}, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		a, err := u.Do(t.Context(), post("x"))
		if err != nil {
			t.Fatal(err)
		}
		a.Release()
		synctest.Wait()
		if s := u.Status()[0]; s.Connections != 0 || s.Calls != 0 || app.Open() != 0 {
			t.Errorf("%d connections, %d calls, %d open at the app", s.Connections, s.Calls, app.Open())
		}
	})
}

func TestStream_canBeAbortedWhileItIsRead(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		return x.Send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	}, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		a, err := u.Do(t.Context(), post("x"))
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(a.Stream)
			read <- err
		}()
		synctest.Wait()
		began := time.Now()
		a.Stream.(interface{ Abort() }).Abort()
		wantError(t, <-read, inngest.CodeCallCanceled)
		a.Release()
		synctest.Wait()
		if s := u.Status()[0]; time.Since(began) != 0 || s.Connections != 0 || s.Calls != 0 || app.Open() != 0 {
			t.Errorf("after %v %d connections, %d calls, %d open at the app", time.Since(began), s.Connections, s.Calls, app.Open())
		}
	})
}
