package pool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// takes answers well after that time, or as long as the body says.
func takes(d time.Duration) faultyapp.Fault {
	return faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
		own, err := time.ParseDuration(x.Body)
		if err != nil {
			own = d
		}
		return x.Pause(own) && x.Send(x.Own())
	}}
}

// untilRefused makes calls one after the other until one is not answered, and
// returns how many were. The others must not have reached the app.
func untilRefused(t *testing.T, u *Upstream) (answered int) {
	for {
		body := fmt.Sprint("call ", answered)
		a, err := u.Do(t.Context(), post(body))
		if err != nil {
			if e := wantErrorOf(t, err); e.Code != inngest.CodeUpstreamRefused || e.Sent {
				t.Errorf("%s: %v, sent %v; want that it was refused", body, e, e.Sent)
			}
			return answered
		}
		if got := read(t, a); got != faultyapp.Own(body) {
			t.Errorf("%s got %q", body, got)
		}
		answered++
	}
}

// wantErrorOf is wantError for goroutines, which must not end the test.
func wantErrorOf(t *testing.T, err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("error is %v", err)
		return &Error{}
	}
	return e
}

// Apps that stop to listen and serve the connections in use, as server.close()
// of Node does, could never end.
func TestLeaving_endsConnectionsThatAreUsedAgainAndAgain(t *testing.T) {
	for name, most := range map[string]int{"fewer than there may be": 100, "as many as there may be": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				l := network.Listen("app:80")
				app := faultyapp.Start(t, faultyapp.Options{Listener: l})
				app.Make(takes(100 * time.Millisecond))
				o := options(t, "http://app:80").inMemory(&network)
				o.MaxConns = most
				u := run(t, o)
				var callers sync.WaitGroup
				for range 4 {
					callers.Go(func() { untilRefused(t, u) })
				}
				long := make(chan string, 1)
				if most > 4 {
					callers.Go(func() { long <- mustDo(t, u, post("25s")) })
				} else {
					long <- faultyapp.Own("25s")
				}
				time.Sleep(10 * time.Second)
				l.Close()
				time.Sleep(4 * time.Second)
				if s := u.Status()[0]; s.Calls > 1 || s.Connections != s.Calls || !u.Usable() {
					t.Errorf("4 s after the end of listening: %d calls, %d connections, usable %v", s.Calls, s.Connections, u.Usable())
				}
				callers.Wait()
				if got := <-long; got != faultyapp.Own("25s") {
					t.Errorf("a long call got %q", got)
				}
				synctest.Wait()
				if n := app.Open(); n != 0 {
					t.Errorf("%d connections keep the app from its end", n)
				}
				if n := testutil.ToFloat64(o.Metrics.Discarded.WithLabelValues("shop", "http://app:80", "leaving")); n == 0 {
					t.Error("no connection was counted as one of an app that is leaving")
				}
				next := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				for range 3 {
					mustDo(t, u, post("x"))
				}
				if next.Accepted() != 1 {
					t.Errorf("%d connections to the app that came after it", next.Accepted())
				}
				app.Stop()
				next.Stop()
			})
		})
	}
}

// Calls so long that a second one is more than the app has time for.
func TestLeaving_comesBeforeTheNextLongCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		l := network.Listen("app:80")
		app := faultyapp.Start(t, faultyapp.Options{Listener: l})
		app.Make(takes(25 * time.Second))
		u := run(t, options(t, "http://app:80").inMemory(&network))
		time.AfterFunc(60*time.Second, func() { l.Close() })
		began := time.Now()
		if n := untilRefused(t, u); n != 3 || time.Since(began) != 75*time.Second {
			t.Errorf("%d calls answered in %v, want the third to be the last", n, time.Since(began))
		}
		app.Stop()
	})
}

// A call that needs a new connection tells it too.
func TestLeaving_isSeenByACallThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		l := network.Listen("app:80")
		app := faultyapp.Start(t, faultyapp.Options{Listener: l})
		app.Make(takes(time.Second))
		u := run(t, options(t, "http://app:80").inMemory(&network))
		first := make(chan string, 1)
		go func() { first <- mustDo(t, u, post("x")) }()
		synctest.Wait()
		l.Close()
		untilRefused(t, u)
		if got := <-first; got != faultyapp.Own("x") {
			t.Errorf("the call before got %q", got)
		}
		synctest.Wait()
		if n := u.Status()[0].Connections; n != 0 || app.Open() != 0 {
			t.Errorf("%d connections, %d at the app", n, app.Open())
		}
		app.Stop()
	})
}

func TestLeaving_isSeenOverSockets(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T) (net.Listener, string){
		"tcp": func(t *testing.T) (net.Listener, string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return l, "http://" + l.Addr().String()
		},
		"a unix socket whose file goes": unixSocket(true), "a unix socket whose file stays": unixSocket(false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, endpoint := listen(t)
			app := faultyapp.Start(t, faultyapp.Options{Listener: l})
			u := run(t, options(t, endpoint))
			mustDo(t, u, post("x"))
			l.Close()
			if n := untilRefused(t, u); n == 0 {
				t.Error("the app was called no more")
			}
			if s := u.Status()[0]; s.Connections != 0 {
				t.Errorf("%d connections are kept", s.Connections)
			}
			app.Stop()
		})
	}
}

func unixSocket(unlink bool) func(*testing.T) (net.Listener, string) {
	return func(t *testing.T) (net.Listener, string) {
		path := filepath.Join(t.TempDir(), "app.sock")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(unlink)
		return l, "unix://" + path
	}
}

// A backlog that is full is no sign of leaving, nor a failed call.
func TestLeaving_isNotWhatSlownessLooksLike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
		app.Make(takes(100 * time.Millisecond))
		o := options(t, "http://app:80").inMemory(&network)
		o.Breaker.ConsecutiveFailures = 1
		var full atomic.Bool
		o.Dial = func(ctx context.Context, network_, address string) (net.Conn, error) {
			if full.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return network.Dial(ctx, network_, address)
		}
		u := run(t, o)
		mustDo(t, u, post("x"))
		full.Store(true)
		for range 200 {
			mustDo(t, u, post("x"))
		}
		if n := app.Accepted(); n != 1 || !u.Usable() {
			t.Errorf("%d connections, usable %v", n, u.Usable())
		}
		if n := testutil.ToFloat64(o.Metrics.Dials.WithLabelValues("shop", "http://app:80", "timeout")); n == 0 || n > 10 {
			t.Errorf("%v attempts in 20 s, want at most one in two seconds", n)
		}
		app.Stop()
	})
}

// The app is asked by connections that serve calls, and seldom.
func TestKnock_isEasyOnApps(t *testing.T) {
	for name, c := range map[string]struct {
		takes, every time.Duration
		calls, most  int
	}{
		"calls without a pause":  {10 * time.Millisecond, 0, 1000, 1 + 5},
		"a call every 3 s":       {10 * time.Millisecond, 3 * time.Second, 30, 1 + 30},
		"a call every 20 s":      {10 * time.Millisecond, 20 * time.Second, 10, 1},
		"long calls":             {25 * time.Second, 0, 3, 1 + 3},
		"a call, then nothing":   {time.Millisecond, time.Minute, 1, 1},
		"a burst, then nothing":  {0, 0, 100, 1},
		"three calls in an hour": {0, 20 * time.Minute, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				var first atomic.Int64
				app.Make(faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
					if x.N == 1 {
						first.Add(1)
					}
					return x.Pause(c.takes) && x.Send(x.Own())
				}})
				o := options(t, "http://app:80").inMemory(&network)
				o.IdleTimeout = 30 * time.Second
				u := run(t, o)
				for range c.calls {
					mustDo(t, u, post("x"))
					time.Sleep(c.every)
				}
				time.Sleep(time.Minute)
				if n := app.Accepted(); n > c.most {
					t.Errorf("%d connections, want at most %d", n, c.most)
				}
				if without := app.Accepted() - int(first.Load()); without > 1 {
					t.Errorf("%d connections without a call, want at most the last one", without)
				}
				app.Stop()
			})
		})
	}
}

// A server complains of a connection on which no call comes: it has not answered
// anything unasked.
func TestKnock_keepsTrustInAppsThatCloseASpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		l := network.Listen("app:80")
		var serving sync.WaitGroup
		var accepted atomic.Int64
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				serving.Go(func() { impatient(c) })
			}
		})
		o := options(t, "http://app:80").inMemory(&network)
		o.IdleTimeout = time.Minute
		u := run(t, o)
		for range 21 { // two seconds, and a knock behind the last
			mustDo(t, u, post("x"))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := accepted.Load(); n != 2 {
			t.Fatalf("%d connections, want the first and a spare", n)
		}
		mustDo(t, u, post("x"))
		if n, idle := accepted.Load(), u.Status()[0].Idle; n != 2 || idle != 1 {
			t.Errorf("%d connections, %d idle: the first is not used any more", n, idle)
		}
		l.Close()
		u.fixed[0].closeIdle(discardIdle)
		serving.Wait()
	})
}

// impatient serves a connection whose first call has to come within a second.
func impatient(c net.Conn) {
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(time.Second))
	for in := bufio.NewReader(c); ; {
		request, err := http.ReadRequest(in)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		c.SetReadDeadline(time.Time{})
		io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: js:v4\r\nContent-Length: 2\r\n\r\nok")
	}
}
