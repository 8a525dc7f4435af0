package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

func TestAppendHead_writesTheCallAndWhatTheExchangeKnows(t *testing.T) {
	head := []byte("Content-Type: application/json\r\n")
	for name, c := range map[string]struct {
		call call.Call
		want string
	}{
		"a call": {
			call.Call{Method: "POST", Target: []byte("/a?b=c"), Head: head, Signature: []byte("t=1&s=2"), Body: []byte("{}")},
			"POST /a?b=c HTTP/1.1\r\nHost: app:80\r\nContent-Type: application/json\r\nX-Inngest-Signature: t=1&s=2\r\nContent-Length: 2\r\n\r\n",
		},
		"an empty POST":     {call.Call{Method: "POST", Target: []byte("/")}, "POST / HTTP/1.1\r\nHost: app:80\r\nContent-Length: 0\r\n\r\n"},
		"an empty PUT":      {call.Call{Method: "PUT", Target: []byte("/")}, "PUT / HTTP/1.1\r\nHost: app:80\r\nContent-Length: 0\r\n\r\n"},
		"a GET":             {call.Call{Method: "GET", Target: []byte("/")}, "GET / HTTP/1.1\r\nHost: app:80\r\n\r\n"},
		"a GET with a body": {call.Call{Method: "GET", Target: []byte("/"), Body: []byte("x")}, "GET / HTTP/1.1\r\nHost: app:80\r\nContent-Length: 1\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := New(options(t, "http://app:80"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(u.fixed[0].appendHead(nil, &c.call))); diff != "" {
				t.Errorf("head differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDo_sendsTheConfiguredHost(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool { x.Body = x.Request.Host; return x.Send(x.Own()) },
		func(t *testing.T, u *Upstream, _ *faultyapp.App) {
			if got := mustDo(t, u, post("")); got != faultyapp.Own("shop.internal") {
				t.Errorf("the app saw host %q", got)
			}
		}, func(o *Options) { o.Host = "shop.internal" })
}

func TestDo_refusesCallsThatCouldEndTheirHeadThemselves(t *testing.T) {
	for name, spoil := range map[string]func(*call.Call){
		"a method with a space":   func(c *call.Call) { c.Method = "GET /x HTTP/1.1\r\nX:" },
		"no method":               func(c *call.Call) { c.Method = "" },
		"a target with a space":   func(c *call.Call) { c.Target = []byte("/ HTTP/1.1") },
		"an absolute target":      func(c *call.Call) { c.Target = []byte("http://other/") },
		"a head without its end":  func(c *call.Call) { c.Head = []byte("A: b") },
		"a signature of two line": func(c *call.Call) { c.Signature = []byte("t=1\r\nA: b") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
				cl := post("x")
				spoil(cl)
				_, err := u.Do(t.Context(), cl)
				if e := wantError(t, err, inngest.CodeInternal); e.Sent || app.Accepted() != 0 {
					t.Errorf("sent %v, %d connections", e.Sent, app.Accepted())
				}
			})
		})
	}
}

// Bodies of every size, both ways, around the sizes where the way changes.
func TestDo_carriesBodiesOfEverySize(t *testing.T) {
	app := faultyapp.Start(t, faultyapp.Options{})
	u := run(t, options(t, app.URL()))
	for _, size := range []int{0, 1, 100, smallBody - 1, smallBody, smallBody + 1, inSize - 200, inSize, inSize + 1, 65536, 1 << 20, 7 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
			t.Errorf("%d bytes: got %d bytes back", size, len(got))
		}
	}
	if app.Accepted() != 1 {
		t.Errorf("%d connections", app.Accepted())
	}
}

func TestDo_answersWithoutTheFieldsOfTheConnection(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		return x.Send("HTTP/1.1 206 Partial Content\r\nX-Inngest-Sdk: js:v4\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n" +
			"Content-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n[]")
	}, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
		a, err := u.Do(t.Context(), post("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		var got []string
		for _, f := range a.Fields {
			got = append(got, string(f.Name)+": "+string(f.Value))
		}
		if diff := cmp.Diff([]string{"X-Inngest-Sdk: js:v4", "Set-Cookie: a", "Set-Cookie: b"}, got); diff != "" {
			t.Errorf("fields differ (-want +got):\n%s", diff)
		}
		if a.Status != 206 || string(a.Body) != "[]" || a.Endpoint != "http://app:80" || a.Code != "" {
			t.Errorf("status %d, body %q, endpoint %q, code %q", a.Status, a.Body, a.Endpoint, a.Code)
		}
	})
}

func TestDo_knowsWhichAnswersHaveNoBody(t *testing.T) {
	for name, c := range map[string]struct {
		method, answer string
		connections    int // that two calls need
	}{
		"HEAD":           {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 1},
		"304":            {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", 1},
		"204":            {"POST", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		"204 that lies":  {"POST", "HTTP/1.1 204 No Content\r\nContent-Length: 1000\r\n\r\n", 2},
		"204 in chunks":  {"POST", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2},
		"a length of 0":  {"POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1},
		"says close":     {"POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 2},
		"HTTP/1.0":       {"POST", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 2},
		"HTTP/1.0 keeps": {"POST", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 1},
		"an extra CRLF":  {"POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(x *faultyapp.Exchange) bool { return x.Send(c.answer) },
				func(t *testing.T, u *Upstream, app *faultyapp.App) {
					for range 2 {
						cl := post("")
						cl.Method = c.method
						if body := mustDo(t, u, cl); body != "" {
							t.Errorf("body %q", body)
						}
					}
					if app.Accepted() != c.connections {
						t.Errorf("%d connections for two calls, want %d", app.Accepted(), c.connections)
					}
				})
		})
	}
}

func TestDo_readsAnAnswerThatComesBeforeTheRequestIsWritten(t *testing.T) {
	for name, listen := range map[string]bool{"in memory": false, "over a socket": true} {
		t.Run(name, func(t *testing.T) {
			early := faultyapp.Named("answers before it has read the body")
			test := func(t *testing.T, u *Upstream, app *faultyapp.App) {
				app.Make(early)
				body := strings.Repeat("x", 8<<20) // more than buffers on the way hold
				a, err := u.Do(t.Context(), post(body))
				if err != nil {
					t.Fatal(err)
				}
				if a.Status != http.StatusRequestEntityTooLarge {
					t.Errorf("status %d, want 413", a.Status)
				}
				a.Release()
				app.Make(faultyapp.None)
				if got := mustDo(t, u, post("next")); got != faultyapp.Own("next") || app.Accepted() != 2 {
					t.Errorf("next call: %q over connection %d, want a second one", got, app.Accepted())
				}
			}
			if !listen {
				bubble(t, nil, test)
				return
			}
			app := faultyapp.Start(t, faultyapp.Options{})
			test(t, run(t, options(t, app.URL())), app)
		})
	}
}

func TestDo_refusesAnswersOverTheLimit(t *testing.T) {
	for name, answer := range map[string]string{
		"declared":      "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
		"in chunks":     "HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n",
		"until the end": "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 1001),
		"head":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(x *faultyapp.Exchange) bool { x.Send(answer); return false },
				func(t *testing.T, u *Upstream, _ *faultyapp.App) {
					_, err := u.Do(t.Context(), post("x"))
					wantError(t, err, inngest.CodeUpstreamTooLarge)
				}, func(o *Options) { o.MaxAnswer, o.MaxHead = 1000, 2000 })
		})
	}
}

func TestDo_takesLargeHeads(t *testing.T) {
	value := strings.Repeat("x", 40_000)
	bubble(t, func(x *faultyapp.Exchange) bool {
		return x.Send("HTTP/1.1 200 OK\r\nX-Large: " + value + "\r\nContent-Length: 2\r\n\r\nok")
	}, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		for range 2 {
			a, err := u.Do(t.Context(), post("x"))
			if err != nil {
				t.Fatal(err)
			}
			if string(a.Get("x-large")) != value || string(a.Body) != "ok" {
				t.Errorf("field of %d bytes, body %q", len(a.Get("x-large")), a.Body)
			}
			a.Release()
		}
		if app.Accepted() != 1 {
			t.Errorf("%d connections", app.Accepted())
		}
	})
}

func TestDo_waitsForMemoryWithoutBlamingTheApp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
		b := u.opt.Budget
		all := b.Max()
		if err := b.AcquireAnswer(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		_, err := u.Do(t.Context(), post("x"))
		if e := wantError(t, err, inngest.CodeMemoryExhausted); !e.Sent {
			t.Error("the error does not say that the call was sent")
		}
		time.AfterFunc(20*time.Second, func() { b.Release(all) })
		if got := mustDo(t, u, post("y")); got != faultyapp.Own("y") {
			t.Errorf("answer %q", got)
		}
	}, func(o *Options) { o.AnswerTimeout = 5 * time.Second })
}

func TestDo_endsWithItsContext(t *testing.T) {
	gone := errors.New("caller hung up")
	for name, fault := range map[string]string{"before the answer": "never answers", "inside the answer": "a chunk too long"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(gone) })
				began := time.Now()
				cl := faulty("x", faultyapp.Named(fault))
				cl.WholeAnswer = true
				_, err := u.Do(ctx, cl)
				if e := wantError(t, err, inngest.CodeCallCanceled); !errors.Is(e, gone) || !e.Sent || time.Since(began) != time.Second {
					t.Errorf("%v (sent %v) after %v", e, e.Sent, time.Since(began))
				}
				late, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				_, err = u.Do(late, faulty("x", faultyapp.Named("never answers")))
				wantError(t, err, inngest.CodeUpstreamTimeout)
				if u.Status()[0].Connections != 0 || app.Requests() != 2 {
					t.Errorf("%d connections, %d requests", u.Status()[0].Connections, app.Requests())
				}
			})
		})
	}
}

func TestDo_endsWithTheTimeOfItsCall(t *testing.T) {
	bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		began := time.Now()
		cl := faulty("x", faultyapp.Named("never answers"))
		cl.WholeAnswer, cl.Timeout = true, time.Second
		_, err := u.Do(t.Context(), cl)
		if e := wantError(t, err, inngest.CodeUpstreamTimeout); !errors.Is(e, ErrTimeout) || !e.Sent || time.Since(began) != time.Second {
			t.Errorf("%v (sent %v) after %v", e, e.Sent, time.Since(began))
		}
		cl = post("y")
		cl.WholeAnswer, cl.Timeout = true, time.Second
		if got := mustDo(t, u, cl); got != faultyapp.Own("y") {
			t.Errorf("answer %q", got)
		}
	})
}

// The end of a context after its call must not hit the call that has the
// connection now.
func TestDo_leavesTheNextCallAloneWhenAnEarlierContextEnds(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool { x.Pause(300 * time.Millisecond); return x.Send(x.Own()) },
		func(t *testing.T, u *Upstream, app *faultyapp.App) {
			for i := range 5 {
				ctx, cancel := context.WithCancel(t.Context())
				a, err := u.Do(ctx, post(fmt.Sprint(i)))
				if err != nil {
					t.Fatalf("call %d: %v", i, err)
				}
				a.Release()
				time.AfterFunc(150*time.Millisecond, cancel)
			}
			if app.Accepted() != 1 {
				t.Errorf("%d connections", app.Accepted())
			}
		})
}

func TestDo_keepsAnswersApartWhileCallersHangUp(t *testing.T) {
	app := faultyapp.Start(t, faultyapp.Options{})
	app.Make(faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
		return x.Pause(time.Duration(len(x.Body)%7)*100*time.Microsecond) && x.Send(x.Own())
	}})
	u := run(t, options(t, app.URL()))
	var all sync.WaitGroup
	var answered atomic.Int64
	for caller := range 8 {
		all.Go(func() {
			for i := range 60 {
				body := fmt.Sprintf("call %d of caller %d %s", i, caller, strings.Repeat("x", (i%3)*10_000+i%7))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%11)*200*time.Microsecond+time.Microsecond)
				a, err := u.Do(ctx, post(body))
				if err == nil {
					answered.Add(1)
					if got := read(t, a); got != faultyapp.Own(body) {
						t.Errorf("%.30s got %.60q", body, got)
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
	if n := answered.Load(); n == 0 || n == 8*60 {
		t.Logf("%d of %d calls were answered: the timing shows nothing here", n, 8*60)
	}
	mustDo(t, u, post("at the end"))
}
