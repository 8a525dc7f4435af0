package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// afterASecond answers well, a second after the request.
func afterASecond(x *faultyapp.Exchange) bool { return x.Pause(time.Second) && x.Send(x.Own()) }

func TestDo_waitsInLineForAConnection(t *testing.T) {
	bubble(t, afterASecond, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		began := time.Now()
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		for i := range 7 {
			all.Go(func() {
				body := fmt.Sprint(i)
				if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
					t.Errorf("call %s got %q", body, got)
				}
				if n := u.Status()[0].Connections; n > 2 {
					t.Errorf("%d connections, the limit is 2", n)
				}
				mu.Lock()
				order = append(order, fmt.Sprintf("%d at %v", i, time.Since(began).Round(time.Second)))
				mu.Unlock()
			})
			synctest.Wait()
		}
		all.Wait()
		for second, want := range [][]string{{"0 at 1s", "1 at 1s"}, {"2 at 2s", "3 at 2s"}, {"4 at 3s", "5 at 3s"}, {"6 at 4s"}} {
			got := order[2*second : min(2*second+2, len(order))]
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("second %d: %v, want %v", second+1, got, want)
			}
		}
	}, func(o *Options) { o.MaxConns = 2 })
}

func TestDo_isBusyWhenNoConnectionBecomesFree(t *testing.T) {
	for name, wait := range map[string]time.Duration{"after a wait": 500 * time.Millisecond, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, afterASecond, func(t *testing.T, u *Upstream, app *faultyapp.App) {
				var first sync.WaitGroup
				first.Go(func() { mustDo(t, u, post("first")) })
				synctest.Wait()
				began := time.Now()
				_, err := u.Do(t.Context(), post("second"))
				e := wantError(t, err, inngest.CodeUpstreamBusy)
				if e.Sent || time.Since(began) != wait || !strings.Contains(e.Error(), "all 1 were in use") {
					t.Errorf("%v (sent %v) after %v", e, e.Sent, time.Since(began))
				}
				first.Wait()
				mustDo(t, u, post("third"))
				if app.Requests() != 2 {
					t.Errorf("%d requests, want the first and the third", app.Requests())
				}
				if !u.Usable() {
					t.Error("a busy endpoint was taken out of use")
				}
			}, func(o *Options) { o.MaxConns, o.Wait, o.Breaker.ConsecutiveFailures = 1, wait, 1 })
		})
	}
}

func TestDo_leavesTheLineWithItsContext(t *testing.T) {
	bubble(t, afterASecond, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
		var others sync.WaitGroup
		others.Go(func() { mustDo(t, u, post("first")) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		others.Go(func() {
			_, err := u.Do(ctx, post("second"))
			if e := wantError(t, err, inngest.CodeCallCanceled); e.Sent {
				t.Error("it was sent")
			}
		})
		synctest.Wait()
		others.Go(func() { mustDo(t, u, post("third")) })
		synctest.Wait()
		cancel()
		others.Wait()
	}, func(o *Options) { o.MaxConns = 1 })
}

// A call that waits gets the place of a connection that cannot be used again.
func TestDo_opensAnotherConnectionForThoseWhoWait(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		x.Pause(time.Second)
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return false
	}, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { mustDo(t, u, post("x")) })
		}
		all.Wait()
		if app.Accepted() != 5 {
			t.Errorf("%d connections", app.Accepted())
		}
	}, func(o *Options) { o.MaxConns = 1 })
}

func TestConnections_areKeptForAsLongAsTheAppKeepsThem(t *testing.T) {
	for name, c := range map[string]struct {
		announce string
		gap      time.Duration
		kept     bool
	}{
		"3.9 s without a word":      {"", 3900 * time.Millisecond, true},
		"4.1 s without a word":      {"", 4100 * time.Millisecond, false},
		"1 s of an announced 2":     {"Keep-Alive: timeout=2\r\n", time.Second, true},
		"1.1 s of an announced 2":   {"Keep-Alive: timeout=2\r\n", 1100 * time.Millisecond, false},
		"70 s of an announced 72":   {"Keep-Alive: timeout=72, max=1000\r\n", 70 * time.Second, true},
		"71.1 of an announced 72":   {"Keep-Alive: timeout=72\r\n", 71100 * time.Millisecond, false},
		"at once of an announced 1": {"Keep-Alive: timeout=1\r\n", 0, false},
		"beyond their lifetime":     {"Keep-Alive: timeout=1000\r\n", 301 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80"), Announce: c.announce})
				u := run(t, options(t, "http://app:80").inMemory(&network))
				mustDo(t, u, post("x"))
				time.Sleep(c.gap)
				mustDo(t, u, post("y"))
				if kept := app.Accepted() == 1; kept != c.kept {
					t.Errorf("kept %v, want %v", kept, c.kept)
				}
				app.Stop()
			})
		})
	}
}

func TestConnections_endWithoutACallToo(t *testing.T) {
	bubble(t, afterASecond, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { mustDo(t, u, post("x")) })
		}
		all.Wait()
		if s := u.Status()[0]; s.Connections != 3 || s.Idle != 3 {
			t.Errorf("%d connections, %d idle; want the 3 that may be idle", s.Connections, s.Idle)
		}
		m := u.opt.Metrics.Connections
		if got := testutil.ToFloat64(m.WithLabelValues("shop", "http://app:80", "idle")); got != 3 {
			t.Errorf("gauge of idle connections is %v", got)
		}
		time.Sleep(5100 * time.Millisecond)
		if s := u.Status()[0]; s.Connections != 0 || app.Open() != 0 {
			t.Errorf("%d connections after 5s without a call, %d at the app", s.Connections, app.Open())
		}
		for _, state := range []string{"idle", "active"} {
			if got := testutil.ToFloat64(m.WithLabelValues("shop", "http://app:80", state)); got != 0 {
				t.Errorf("gauge of %s connections is %v", state, got)
			}
		}
	}, func(o *Options) { o.MaxIdle = 3 })
}

func TestDo_meetsNoConnectionThatTheAppClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80"), Idle: 500 * time.Millisecond})
		o := options(t, "http://app:80").inMemory(&network)
		u := run(t, o)
		for range 20 {
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() { mustDo(t, u, post("x")) })
			}
			all.Wait()
			time.Sleep(501 * time.Millisecond)
		}
		app.Stop()
		if got := testutil.ToFloat64(o.Metrics.Discarded.WithLabelValues("shop", "http://app:80", "closed_by_app")); got == 0 {
			t.Error("no connection was counted as closed by the app")
		}
	})
}

// One closed connection tells that the app closes: the others go before a call
// meets them in the moment of their end.
func TestConnections_goWithTheirFellows(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, u *Upstream, app *faultyapp.App){
		"one was closed": func(t *testing.T, u *Upstream, app *faultyapp.App) {
			app.Make(faultyapp.Named("closes behind an answer"))
			mustDo(t, u, post("x"))
			app.Make(faultyapp.None)
			synctest.Wait()
			mustDo(t, u, post("y"))
		},
		"one was reset": func(t *testing.T, u *Upstream, app *faultyapp.App) {
			_, err := u.Do(t.Context(), faulty("x", faultyapp.Named("resets without a word")))
			wantError(t, err, inngest.CodeUpstreamReset)
			mustDo(t, u, post("y"))
		},
		"the sweeper saw it": func(t *testing.T, u *Upstream, app *faultyapp.App) {
			app.Make(faultyapp.Named("closes behind an answer"))
			mustDo(t, u, post("x"))
			app.Make(faultyapp.None)
			time.Sleep(1100 * time.Millisecond)
			if s := u.Status()[0]; s.Connections != 0 {
				t.Errorf("%d connections after the sweep", s.Connections)
			}
			mustDo(t, u, post("y"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, afterASecond, func(t *testing.T, u *Upstream, app *faultyapp.App) {
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() { mustDo(t, u, post("x")) })
				}
				all.Wait()
				end(t, u, app)
				if s := u.Status()[0]; s.Connections != 1 {
					t.Errorf("%d connections, want the new one alone", s.Connections)
				}
			})
		})
	}
}

func TestDo_usesConnectionsOnceWhereBytesCameUnasked(t *testing.T) {
	bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		late := faultyapp.LateExtra(50 * time.Millisecond)
		for range 10 { // until the endpoint is trusted
			mustDo(t, u, post("x"))
			time.Sleep(20 * time.Millisecond)
		}
		if app.Accepted() != 1 {
			t.Fatalf("%d connections before the fault", app.Accepted())
		}
		app.Make(late)
		mustDo(t, u, post("bait"))
		app.Make(faultyapp.None)
		time.Sleep(51 * time.Millisecond)
		for i := range 10 {
			body := fmt.Sprint("honest ", i)
			if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
				t.Errorf("%s got %q", body, got)
			}
		}
		if app.Accepted() != 11 {
			t.Errorf("%d connections, want a new one for each of 10 calls", app.Accepted())
		}
		time.Sleep(time.Minute)
		for range 10 {
			mustDo(t, u, post("x"))
		}
		if app.Accepted() != 12 {
			t.Errorf("%d connections, want one for the calls a minute later", app.Accepted())
		}
	})
}

func TestNew_refusesMissingOrWrongValues(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"no app":                    func(o *Options) { o.App = "" },
		"no endpoints":              func(o *Options) { o.Endpoints = nil },
		"an endpoint without host":  func(o *Options) { o.Endpoints = []string{"http://:80"} },
		"an endpoint with a path":   func(o *Options) { o.Endpoints = []string{"http://app/api"} },
		"an endpoint with a query":  func(o *Options) { o.Endpoints = []string{"http://app?x"} },
		"an endpoint with a user":   func(o *Options) { o.Endpoints = []string{"http://me@app"} },
		"an endpoint without slash": func(o *Options) { o.Endpoints = []string{"unix://app.sock"} },
		"another scheme":            func(o *Options) { o.Endpoints = []string{"ftp://app"} },
		"a port that is none":       func(o *Options) { o.Endpoints = []string{"http://app:http"} },
		"a host of two lines":       func(o *Options) { o.Host = "app\r\nX: y" },
		"no limit on dials":         func(o *Options) { o.DialTimeout = 0 },
		"answers after 3 h":         func(o *Options) { o.AnswerTimeout = 3 * time.Hour },
		"no connections":            func(o *Options) { o.MaxConns = 0 },
		"negative idle ones":        func(o *Options) { o.MaxIdle = -1 },
		"no idle time":              func(o *Options) { o.IdleTimeout = 0 },
		"no lifetime":               func(o *Options) { o.MaxLifetime = 0 },
		"negative wait":             func(o *Options) { o.Wait = -1 },
		"no head":                   func(o *Options) { o.MaxHead = 0 },
		"no answer":                 func(o *Options) { o.MaxAnswer = 0 },
		"names never looked up":     func(o *Options) { o.Endpoints, o.ResolveInterval = []string{"dns+http://app:80"}, 0 },
		"no probe":                  func(o *Options) { o.Probe = "" },
		"a probe without path":      func(o *Options) { o.ProbePath = "" },
		"negative health interval":  func(o *Options) { o.HealthInterval = -1 },
		"a breaker without values":  func(o *Options) { o.Breaker = breaker.Options{} },
		"no budget":                 func(o *Options) { o.Budget = nil },
		"no metrics":                func(o *Options) { o.Metrics = nil },
		"no log":                    func(o *Options) { o.Log = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "http://app:80")
			spoil(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), "upstream of app") {
				t.Errorf("New = %v", err)
			}
		})
	}
}
