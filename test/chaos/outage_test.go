package chaos

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// An app is frozen under 200 calls a second: it takes connections and says
// nothing. When it thaws it answers, and nothing was lost; another app has not
// noticed.
func TestApp_outageByFreezingUnderLoad(t *testing.T) {
	const runsPerSecond = 50
	frozen := 2 * time.Second
	if *long {
		frozen = 10 * time.Second
	}
	s := newServer(t)
	cold, well := newApp(t, "shop", 5*time.Millisecond), newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{cold, well}, "")
	begun := map[*app]func() int{}
	for _, a := range []*app{cold, well} {
		a.start()
	}
	g.start()
	for _, a := range []*app{cold, well} {
		s.register(a.id, "t/"+a.id, "http://"+g.inngest+"/"+a.id)
		begun[a] = steadily(t, s, a.id, runsPerSecond)
		until(t, "calls that are answered", func() bool { return a.did("answered") > runsPerSecond })
	}
	cold.process.signal(syscall.SIGSTOP)
	before := well.did("answered")
	pass(frozen)
	until(t, "calls to the other app", func() bool { return well.did("answered") > before+runsPerSecond })
	cold.process.signal(syscall.SIGCONT)
	runs := map[*app]int{}
	for a, stop := range begun {
		runs[a] = stop()
	}
	s.ended(runs[cold] + runs[well])
	for a, want := range runs {
		got := s.tally(a.id)
		steps, again := a.repeated()
		if got.Completed != want || got.Other != 0 || got.Burned != 0 || steps != want*appSteps || again != 0 {
			t.Errorf("%s, of %d runs: %+v; %d steps, %d executions too many; want all completed and no attempt burned", a.id, want, got, steps, again)
		}
	}
}

// A front is a proxy before an app that answers 502 while the app is away.
type front struct {
	address string
	bad     atomic.Int64 // calls that it answered itself
}

func newFront(tb testing.TB, a *app) *front {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &front{address: ln.Addr().String()}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: a.address})
	transport := &http.Transport{DisableKeepAlives: true}
	proxy.Transport = transport
	proxy.ErrorHandler = func(w http.ResponseWriter, r *http.Request, _ error) {
		if r.Method == http.MethodPost {
			f.bad.Add(1)
		}
		w.WriteHeader(http.StatusBadGateway)
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	serve(tb, server, ln)
	return f
}

// What the app's own proxy says costs the calls that it says it to. A few of
// them open the breaker; then calls wait, and nothing is lost any more.
func TestApp_outageBehindItsOwnProxy(t *testing.T) {
	const runsPerSecond, few = 50, 150 // few: calls at once, on a machine that stops now and then
	o := outages()
	s := newServer(t)
	a := newApp(t, "shop", 5*time.Millisecond)
	f := newFront(t, a)
	seen := newApp(t, "shop", 0)
	seen.address = f.address
	g := newGateway(t, s, []*app{seen}, "")
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	stop := steadily(t, s, "shop", runsPerSecond)
	for range o.rounds {
		until(t, "no call that waits", func() bool { return g.metric("inngest_gateway_admission_parked_calls") == 0 })
		before := a.did("answered")
		until(t, "calls that are answered", func() bool { return a.did("answered") > before+runsPerSecond })
		a.process.signal(syscall.SIGTERM)
		a.process.wait()
		pass(o.away)
		a.start()
	}
	begun := stop()
	s.ended(begun)
	got, told502 := s.tally("shop"), int(f.bad.Load())
	if got.Completed != begun || got.Other != 0 || got.Burned != told502 || told502 > few*o.rounds {
		t.Errorf("of %d runs: %+v; want all completed, and the %d attempts burned that the proxy refused, at most %d", begun, got, told502, few*o.rounds)
	}
	if steps, again := a.repeated(); steps != begun*appSteps || again > told502 {
		t.Errorf("%d steps were executed, want %d; %d executions too many", steps, begun*appSteps, again)
	}
	t.Log(told(begun, got, 0, g))
}
