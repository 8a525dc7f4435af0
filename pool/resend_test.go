package pool

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

func TestDo_goesToAnotherEndpointWhenOneRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("two:80")})
		u := run(t, options(t, "http://one:80", "http://two:80", "http://three:80").inMemory(&network))
		for range 20 {
			cl := post("x")
			cl.NoResend = true // nothing was sent to those that refused
			mustDo(t, u, cl)
		}
		app.Stop()
		_, err := u.Do(t.Context(), post("x"))
		e := wantError(t, err, inngest.CodeUpstreamRefused)
		if e.Sent || !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("%v, sent %v", e, e.Sent)
		}
	})
}

func TestDo_refusesInTimeWhenNoConnectionComesAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, "http://app:80")
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		u := run(t, o)
		began := time.Now()
		_, err := u.Do(t.Context(), post("x"))
		e := wantError(t, err, inngest.CodeUpstreamRefused)
		if e.Sent || time.Since(began) != o.DialTimeout || !strings.Contains(e.Error(), "no connection within 2s") {
			t.Errorf("%v after %v", e, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = u.Do(ctx, post("x"))
		if e := wantError(t, err, inngest.CodeCallCanceled); e.Sent {
			t.Error("it was sent")
		}
		dials := o.Metrics.Dials.WithLabelValues("shop", "http://app:80", "timeout")
		if got := testutil.ToFloat64(dials); got != 1 {
			t.Errorf("%v dials timed out, want 1", got)
		}
	})
}

func TestDo_sendsNoCallTwiceOnceAByteWentOut(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		fault  string
		body   string
		method string
		resend bool
		never  bool
		want   int // requests that the app sees
	}{
		"reset":                              {"resets without a word", "x", "POST", false, false, 1},
		"reset of a large one":               {"resets without a word", large, "POST", false, false, 1},
		"closed":                             {"closes without a word", "x", "POST", false, false, 1},
		"a GET":                              {"closes without a word", "", "GET", false, false, 1},
		"a byte of the answer came":          {"resets after 1 bytes", "x", "POST", true, false, 1},
		"the answer was garbage":             {"no head at all", "x", "POST", true, false, 1},
		"reset, resend allowed":              {"resets without a word", "x", "POST", true, false, 2},
		"large reset, resend allowed":        {"resets without a word", large, "POST", true, false, 2},
		"allowed, but not for this one":      {"resets without a word", "x", "POST", true, true, 1},
		"closed with the answer under way":   {"half an answer", "x", "POST", true, false, 1},
		"silence is no reset":                {"never answers", "x", "POST", true, false, 1},
		"closed on a second use of the line": {"closes instead of its second answer", "x", "POST", false, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
				fault := faultyapp.Named(c.fault)
				app.Make(fault)
				cl := post(c.body)
				cl.Method, cl.NoResend = c.method, c.never
				if strings.Contains(c.fault, "second") {
					mustDo(t, u, cl)
				}
				_, err := u.Do(t.Context(), cl)
				var e *Error
				if !errors.As(err, &e) || !e.Sent {
					t.Errorf("Do = %v, want an error that says that the call was sent", err)
				}
				if app.Requests() != c.want {
					t.Errorf("the app saw %d requests, want %d", app.Requests(), c.want)
				}
				resends := u.opt.Metrics.Resends.WithLabelValues("shop", "reset")
				if got := testutil.ToFloat64(resends); c.resend && int(got) != c.want-1 {
					t.Errorf("%v resends counted", got)
				}
			}, func(o *Options) { o.ResendAfterReset = c.resend })
		})
	}
}

// refusingConn fails its writes before a byte is out.
type refusingConn struct{ net.Conn }

func (c *refusingConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestDo_sendsAgainWhatNeverWentOut(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		never  bool
		broken int64 // connections on which nothing can be written
		want   int
	}{
		"a small call":               {"x", false, 1, 1},
		"a large call":               {strings.Repeat("x", 100_000), false, 1, 1},
		"a call that must not":       {"x", true, 1, 0},
		"not for ever":               {"x", false, 2, 0},
		"a large call, not for ever": {strings.Repeat("x", 100_000), false, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				o := options(t, "http://app:80")
				var dials atomic.Int64
				o.Dial = func(ctx context.Context, n, a string) (net.Conn, error) {
					nc, err := network.Dial(ctx, n, a)
					if dials.Add(1) <= c.broken && err == nil {
						nc = &refusingConn{nc}
					}
					return nc, err
				}
				u := run(t, o)
				cl := post(c.body)
				cl.NoResend = c.never
				a, err := u.Do(t.Context(), cl)
				if c.want == 1 {
					if err != nil || read(t, a) != faultyapp.Own(c.body) {
						t.Errorf("Do = %v", err)
					}
				} else if e := wantError(t, err, inngest.CodeUpstreamReset); e.Sent {
					t.Error("the error says that the call was sent")
				}
				if app.Requests() != c.want {
					t.Errorf("the app saw %d requests, want %d", app.Requests(), c.want)
				}
				app.Stop()
			})
		})
	}
}

func TestDo_sharesCallsAmongEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		var endpoints []string
		var apps []*faultyapp.App
		for i, pause := range []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, time.Second} {
			host := string(rune('a'+i)) + ":80"
			app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen(host)})
			app.Make(faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool { return x.Pause(pause) && x.Send(x.Own()) }})
			apps, endpoints = append(apps, app), append(endpoints, "http://"+host)
		}
		u := run(t, options(t, endpoints...).inMemory(&network))
		for range 300 {
			go func() {
				a, err := u.Do(context.Background(), post("x"))
				if err != nil {
					t.Error(err)
					return
				}
				a.Release()
			}()
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		fast, slow := apps[0].Requests()+apps[1].Requests(), apps[2].Requests()
		if slow > fast/3 || apps[0].Requests() < 80 || apps[1].Requests() < 80 {
			t.Errorf("requests %d, %d and, at the slow one, %d", apps[0].Requests(), apps[1].Requests(), slow)
		}
		for _, app := range apps {
			app.Stop()
		}
	})
}

// The two endpoints taken at random may both be full while a third is free.
func TestDo_findsTheEndpointThatHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		var endpoints []string
		var apps []*faultyapp.App
		for _, host := range []string{"a:80", "b:80", "c:80", "d:80", "e:80"} {
			app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen(host)})
			app.Make(faultyapp.Fault{Serve: afterASecond})
			apps, endpoints = append(apps, app), append(endpoints, "http://"+host)
		}
		o := options(t, endpoints...).inMemory(&network)
		o.MaxConns, o.Wait = 2, 0
		u := run(t, o)
		for range 10 {
			go func() {
				a, err := u.Do(context.Background(), &call.Call{Method: "GET", Target: []byte("/")})
				if err != nil {
					t.Errorf("a call found no room: %v", err)
					return
				}
				a.Release()
			}()
			synctest.Wait()
		}
		_, err := u.Do(t.Context(), post("one too many"))
		wantError(t, err, inngest.CodeUpstreamBusy)
		time.Sleep(2 * time.Second)
		for _, app := range apps {
			app.Stop()
		}
	})
}
