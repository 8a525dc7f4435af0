package admission

import (
	"fmt"
	"math"
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

// answersAbove lets the app answer that to what is above its capacity.
func answersAbove(status int) func(*fakeApp) {
	return func(a *fakeApp) {
		capacity := a.capacity
		a.capacity, a.step = 0, func(*call.Call) (*call.Answer, error) {
			a.mu.Lock()
			over := a.running > capacity
			a.mu.Unlock()
			if over {
				return &call.Answer{Status: status}, nil
			}
			time.Sleep(400 * time.Millisecond)
			return answer(""), nil
		}
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
		"its proxy answers 429":      answersAbove(429),
		"its proxy answers 503":      answersAbove(503),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{capacity: 40, step: takes(400 * time.Millisecond)}
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
				app.set(func(a *fakeApp) { a.capacity, a.step = 0, takes(400*time.Millisecond) })
				time.Sleep(3 * time.Minute)
				if got := r.Status().Limit; got < 150 {
					t.Errorf("the limit is %d three minutes after the load was gone, want what is needed, 150", got)
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
		l.raise(now, 100)
	}
	if l.now != 100 {
		t.Errorf("limit = %v after a long calm, want the maximum", l.now)
	}
}

// A sign of load is believed as far as it says something.
func TestLimit_fallsByWhatASignTells(t *testing.T) {
	const whole = 1000
	for name, test := range map[string]struct {
		now      float64
		signs    []float64 // calls that the app had, one after the other
		apart    time.Duration
		want     float64
		wantKnow float64
	}{
		"of an app that has what it may":              {now: whole, signs: []float64{1000}, want: 700, wantKnow: 999},
		"of an app that has half of what it may":      {now: whole, signs: []float64{501}, want: 350.7, wantKnow: 500},
		"of a lone call":                              {now: whole, signs: []float64{1}, want: 700, wantKnow: whole},
		"of few calls":                                {now: whole, signs: []float64{50}, want: 700, wantKnow: whole},
		"of few calls, twice":                         {now: whole, signs: []float64{50, 50}, apart: time.Second, want: 49, wantKnow: whole},
		"of few calls, twice in an hour":              {now: whole, signs: []float64{50, 50}, apart: time.Hour, want: 490, wantKnow: whole},
		"of few calls, again and again":               {now: whole, signs: []float64{50, 50, 50}, apart: time.Second, want: 34.3, wantKnow: 49},
		"of lone calls, in the same second":           {now: whole, signs: []float64{1, 1, 1}, apart: 400 * time.Millisecond, want: 700, wantKnow: whole},
		"of lone calls, a second apart":               {now: whole, signs: []float64{1, 1}, apart: time.Second, want: 490, wantKnow: whole},
		"three tenths, once a second":                 {now: 100, signs: []float64{100, 100, 100}, apart: 400 * time.Millisecond, want: 70, wantKnow: 99},
		"three tenths, after a second":                {now: 100, signs: []float64{100, 80}, apart: time.Second, want: 49, wantKnow: 79},
		"below what they are, within the same second": {now: 100, signs: []float64{100, 60, 50}, apart: 100 * time.Millisecond, want: 49, wantKnow: 99},
		"to the minimum and no further":               {now: 12, signs: []float64{12}, want: 10, wantKnow: 11},
	} {
		t.Run(name, func(t *testing.T) {
			b := bound{min: 10, max: whole, now: test.now, known: whole}
			now := time.Now()
			for _, n := range test.signs {
				b.sign(now, n, b.now)
				now = now.Add(test.apart)
			}
			if math.Abs(b.now-test.want) > 0.01 || b.known != test.wantKnow {
				t.Errorf("limit = %v, %v is known; want %v, %v", b.now, b.known, test.want, test.wantKnow)
			}
		})
	}
}

// What is known is reached soon, and doubted rarely.
func TestLimit_growsByWhatIsKnown(t *testing.T) {
	type step struct {
		after    time.Duration
		low, top float64
	}
	for name, test := range map[string]struct {
		start  bound
		needed bool
		steps  []step
	}{
		"to what is known, not above it before the hold": {bound{now: 14, known: 20, hold: firstHold}, true, []step{
			{1900 * time.Millisecond, 14, 14}, {4 * time.Second, 16, 19}, {8 * time.Second, 20, 20}, {9900 * time.Millisecond, 20, 20},
			{12 * time.Second, 21, 23}, {30 * time.Second, 35, 60}, {90 * time.Second, 900, 1000},
		}},
		"to what is known only, where it is not needed": {bound{now: 14, known: 20, hold: firstHold}, false, []step{
			{8 * time.Second, 20, 20}, {10 * time.Minute, 20, 20}, {10*time.Minute + 10*time.Second, 100, 230}, {11 * time.Minute, 1000, 1000},
		}},
		"back, where nothing is known": {bound{now: 700, known: 1000}, false, []step{
			{1900 * time.Millisecond, 700, 700}, {10 * time.Second, 820, 880}, {time.Minute, 1000, 1000},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, began, at := test.start, time.Now(), time.Duration(0)
			b.min, b.max, b.foundAt, b.signAt = 10, 1000, began, began
			for _, s := range test.steps {
				for ; at < s.after; at += fastTick {
					b.raise(began.Add(at), fastTick.Seconds(), test.needed)
				}
				if b.now < s.low || b.now > s.top {
					t.Errorf("limit = %v after %v, want from %v to %v", b.now, s.after, s.low, s.top)
				}
			}
		})
	}
}

// What is found again and again is tried more rarely, something new soon.
func TestLimit_doubtsMoreRarelyWhatItFindsAgain(t *testing.T) {
	b := bound{min: 10, max: 1000, now: 1000, known: 1000}
	for i, find := range []struct {
		n    float64
		want time.Duration
	}{{20, 10 * time.Second}, {20, 20 * time.Second}, {21, 30 * time.Second}, {20, 30 * time.Second}, {50, 10 * time.Second}} {
		if b.found(time.Now(), find.n); b.hold != find.want {
			t.Errorf("hold = %v after find %d, want %v", b.hold, i, find.want)
		}
	}
}

// An outage is a sign of load, one however long it lasts, and says little.
func TestLimit_takesAnOutageForOneSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{down: true}
		r := newRoom(t, adaptive(t, app))
		done := send(r, newCall("run"))
		time.Sleep(20 * time.Second)
		if got := r.Status().Limit; got != 200 {
			t.Errorf("limit = %d late in an outage, want it to be back at 200", got)
		}
		app.set(func(a *fakeApp) { a.down = false })
		wantAnswer(t, <-done)
		time.Sleep(time.Minute)
		app.set(func(a *fakeApp) { a.down = true })
		done = send(r, newCall("next"))
		time.Sleep(1500 * time.Millisecond) // three refusals and more, the limit does not grow yet
		if got := r.Status().Limit; got != 140 {
			t.Errorf("limit = %d after the app went away, want three tenths less than 200", got)
		}
		app.set(func(a *fakeApp) { a.down = false })
		wantAnswer(t, <-done)
	})
}

// An SDK's own error says nothing about load, nor does a proxy's of another kind.
func TestLimit_ignoresErrorsThatAreNoSignOfLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		r := newRoom(t, adaptive(t, app))
		own := answer("")
		own.Status = 503
		for i, a := range []*call.Answer{own, {Status: 500}, {Status: 502}, {Status: 404}} {
			app.set(func(f *fakeApp) { f.step = func(*call.Call) (*call.Answer, error) { return a, nil } })
			<-send(r, newCall(fmt.Sprint(i)))
			if got := r.Status().Limit; got != 200 {
				t.Errorf("limit = %d after a status %d, want 200", got, a.Status)
			}
		}
		app.set(func(f *fakeApp) {
			f.step = func(*call.Call) (*call.Answer, error) { return &call.Answer{Status: 503}, nil }
		})
		<-send(r, newCall("load"))
		if got := r.Status().Limit; got != 140 {
			t.Errorf("limit = %d after a proxy's 503, want 140", got)
		}
	})
}

// Slow is what takes much longer than the best, and long by itself.
func TestLimit_tellsSlowFromFast(t *testing.T) {
	for name, test := range map[string]struct {
		best, took time.Duration
		want       bool
	}{
		"many times as long, but not long": {time.Millisecond, 240 * time.Millisecond, false},
		"long, but not many times as long": {200 * time.Millisecond, time.Second, false},
		"long, and many times as long":     {time.Millisecond, 260 * time.Millisecond, true},
		"the first":                        {0, time.Minute, false},
	} {
		var last time.Time
		best := test.best
		if got := sample(&best, &last, pool.Timing{Took: test.took, At: time.Now()}); got != test.want {
			t.Errorf("%s: slow = %v, want %v", name, got, test.want)
		}
	}
}

func TestLimit_ofAnIdleAppComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		timing := func(took time.Duration) {
			app.set(func(a *fakeApp) {
				a.status = []pool.EndpointStatus{{Endpoint: "e", Connect: pool.Timing{Took: took, At: time.Now()}}}
			})
			time.Sleep(1500 * time.Millisecond)
		}
		o := adaptive(t, app)
		o.Concurrency = Concurrency{Min: 10, Max: 1000, Adaptive: true}
		r := newRoom(t, o)
		timing(time.Millisecond)
		timing(1001 * time.Millisecond)
		if got := r.Status().Limit; got != 700 {
			t.Errorf("limit = %d after one slow connect of an idle app, want 700", got)
		}
		time.Sleep(time.Minute)
		if got := r.Status().Limit; got != 1000 {
			t.Errorf("limit = %d a minute later, want 1000", got)
		}
	})
}
