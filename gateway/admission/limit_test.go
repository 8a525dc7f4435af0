package admission

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// load keeps n calls in flight until stop is closed.
func load(r *Room, n int, stop <-chan struct{}) {
	for worker := range n {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				<-send(r, newCall(fmt.Sprint("w", worker, "-", i)))
			}
		}()
	}
}

func adaptive(t testing.TB, app *fakeApp) Options {
	o := options(t, app)
	o.Concurrency = Concurrency{Min: 2, Max: 200, Adaptive: true}
	o.Guard.Off = true
	return o
}

func TestLimit_followsAnAppThatIsOverloadedAndRecovers(t *testing.T) {
	for name, busy := range map[string]func(a *fakeApp){
		"its connections are in use": func(a *fakeApp) {},
		"its proxy answers 429": func(a *fakeApp) {
			capacity := a.capacity
			a.capacity, a.step = 0, func(*call.Call) (*call.Answer, error) {
				a.mu.Lock()
				over := a.running > capacity
				a.mu.Unlock()
				if over {
					return &call.Answer{Status: 429}, nil
				}
				time.Sleep(100 * time.Millisecond)
				return answer(""), nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{capacity: 40, step: takes(100 * time.Millisecond)}
				busy(app)
				r := newRoom(t, adaptive(t, app))
				stop := make(chan struct{})
				load(r, 150, stop)
				time.Sleep(time.Minute)
				var sum int
				for range 60 {
					time.Sleep(time.Second)
					sum += r.Status().Limit
				}
				if mean := sum / 60; mean < 25 || mean > 50 {
					t.Errorf("the limit was %d over a minute, want about 40, which the app can do", mean)
				}
				app.set(func(a *fakeApp) { a.capacity, a.step = 0, takes(100*time.Millisecond) })
				time.Sleep(time.Minute)
				if got := r.Status().Limit; got < 140 {
					t.Errorf("the limit is %d a minute after the load was gone, want what is needed, 150", got)
				}
				close(stop)
				time.Sleep(time.Minute)
			})
		})
	}
}

// An hour is as normal as a millisecond.
func TestLimit_ignoresHowLongStepsTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Millisecond)}
		r := newRoom(t, adaptive(t, app))
		for i := range 100 {
			wantAnswer(t, <-send(r, newCall(fmt.Sprint(i))))
		}
		app.set(func(a *fakeApp) { a.step = takes(time.Hour) })
		var all []<-chan result
		for i := range 150 {
			all = append(all, send(r, newCall(fmt.Sprint("slow", i))))
		}
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if got := r.Status().Limit; got != 200 {
			t.Errorf("limit = %d, want 200 as at first", got)
		}
	})
}

func TestLimit_followsSlowConnectsAndProbes(t *testing.T) {
	for name, slow := range map[string]func(*pool.EndpointStatus, pool.Timing){
		"connects": func(e *pool.EndpointStatus, t pool.Timing) { e.Connect = t },
		"probes":   func(e *pool.EndpointStatus, t pool.Timing) { e.Probe = t },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{step: takes(time.Hour)}
				timing := func(took time.Duration) {
					app.set(func(a *fakeApp) {
						e := pool.EndpointStatus{Endpoint: "e"}
						slow(&e, pool.Timing{Took: took, At: time.Now()})
						a.status = []pool.EndpointStatus{e}
					})
				}
				r := newRoom(t, adaptive(t, app))
				for i := range 100 {
					send(r, newCall(fmt.Sprint(i)))
				}
				for range 10 {
					timing(3 * time.Millisecond)
					time.Sleep(time.Second)
				}
				if got := r.Status().Limit; got != 200 {
					t.Fatalf("limit = %d while all was well, want 200", got)
				}
				for range 3 {
					timing(2 * time.Second)
					time.Sleep(2 * time.Second)
				}
				low := r.Status().Limit
				if low > 70 {
					t.Errorf("limit = %d after slow answers at 100 calls, want 70 or less", low)
				}
				time.Sleep(10 * time.Second) // one sample counts once
				if got := r.Status().Limit; got < low {
					t.Errorf("limit = %d without another sample, want no less than %d", got, low)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestLimit_staysBetweenItsBounds(t *testing.T) {
	l := newLimiter(Concurrency{Min: 10, Max: 100, Adaptive: true})
	now := time.Now()
	for range 100 {
		now = now.Add(time.Second)
		l.load.sign(now, 50, l.now)
		l.apply()
	}
	if l.now != 10 {
		t.Errorf("limit = %v after many signs of load, want the minimum", l.now)
	}
	for range 1000 {
		now = now.Add(time.Second)
		l.met = 1
		l.raise(now, 50)
	}
	if l.now != 100 {
		t.Errorf("limit = %v after a long calm, want the maximum", l.now)
	}
}
