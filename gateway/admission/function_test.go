package admission

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// ofHogs is an app with functions whose steps take hours, and others.
func ofHogs() *fakeApp {
	return &fakeApp{step: func(c *call.Call) (*call.Answer, error) {
		if strings.HasPrefix(c.Identity.RunID, "hog") {
			time.Sleep(2 * time.Hour)
		}
		return answer(""), nil
	}}
}

// However many calls the others have, a function that was seen within a day finds
// a place.
func TestRoom_leavesAPlaceToWhoComesRarely(t *testing.T) {
	for name, test := range map[string]struct {
		limit, hogs int
		quiet       time.Duration
		late        bool // one after the other, not in turn
	}{
		"beside one, and few places":     {limit: 5, hogs: 1},
		"beside one, and two places":     {limit: 2, hogs: 1},
		"beside one, after half a day":   {limit: 100, hogs: 1, quiet: 12 * time.Hour},
		"beside two":                     {limit: 100, hogs: 2},
		"beside two, one of them late":   {limit: 100, hogs: 2, late: true},
		"beside four, all of them late":  {limit: 100, hogs: 4, late: true},
		"beside as many as are kept for": {limit: 100, hogs: 8},
		"beside many":                    {limit: 100, hogs: 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options(t, ofHogs())
				o.Concurrency = Concurrency{Min: 1, Max: test.limit}
				r := newRoom(t, o)
				wantAnswer(t, <-send(r, callOf("cron", "0")))
				time.Sleep(test.quiet)
				for i := range 300 {
					hog := i % test.hogs
					if test.late {
						hog = i * test.hogs / 300
					}
					send(r, callOf(fmt.Sprint("hog", hog), fmt.Sprint("hog", i)))
					synctest.Wait()
				}
				got := <-send(r, callOf("cron", "1"))
				wantAnswer(t, got)
				if got.after > time.Second {
					t.Errorf("answered after %v, want at once", got.after)
				}
				if s := r.Status(); s.Running < test.limit*7/8-1 && test.limit > 2 {
					t.Errorf("%d calls of the others run, want most of %d", s.Running, test.limit)
				}
				time.Sleep(3 * time.Hour)
			})
		})
	}
}

// Who has more than its share does not get what another one gives back, though
// that one has calls.
func TestRoom_keepsPlacesForWhoHasLessThanItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, ofHogs())
		o.Concurrency = Concurrency{Min: 1, Max: 40}
		r := newRoom(t, o)
		wantAnswer(t, <-send(r, callOf("other", "known")))
		for i := range 100 {
			send(r, callOf("hog", fmt.Sprint("hog", i)))
		}
		synctest.Wait()
		send(r, callOf("other", "hog of another"))
		synctest.Wait()
		for i := range 10 {
			got := <-send(r, callOf("other", fmt.Sprint(i)))
			wantAnswer(t, got)
			if got.after > time.Second {
				t.Errorf("answered after %v, want at once", got.after)
			}
		}
		time.Sleep(10 * time.Hour)
	})
}

// Where there are more functions than places, one that has none is not kept from
// the last ones.
func TestRoom_givesTheLastPlaceToWhoHasNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, ofHogs())
		o.Concurrency = Concurrency{Min: 1, Max: 4}
		r := newRoom(t, o)
		for i := range 10 {
			send(r, callOf(fmt.Sprint("hog", i), fmt.Sprint("hog", i)))
		}
		time.Sleep(time.Second)
		if got := r.Status().Running; got != 4 {
			t.Errorf("%d calls of ten functions run, want all 4 places taken", got)
		}
		time.Sleep(10 * time.Hour)
	})
}

// Where nobody is missing, no place is left empty.
func TestRoom_givesAllPlacesToThoseThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, ofHogs())
		o.Concurrency = Concurrency{Min: 1, Max: 40}
		r := newRoom(t, o)
		for i := range 100 {
			send(r, callOf(fmt.Sprint("hog", i%2), fmt.Sprint("hog", i)))
		}
		time.Sleep(time.Second)
		if got := r.Status().Running; got != 40 {
			t.Errorf("%d calls run, want all 40 places taken", got)
		}
		time.Sleep(10 * time.Hour)
	})
}

func TestRoom_remembersFunctionsForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, options(t, &fakeApp{}))
		wantAnswer(t, <-send(r, callOf("daily", "0")))
		known := func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.functions["shop-daily"] != nil
		}
		time.Sleep(23 * time.Hour)
		if !known() {
			t.Error("forgotten within a day")
		}
		time.Sleep(2 * time.Hour)
		if known() {
			t.Error("not forgotten after a day")
		}
	})
}

// A full memory forgets the one whose last call is the longest ago, never one
// that has calls.
func TestRoom_forgetsTheFunctionThatCameTheLongestAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := ofHogs()
		r := newRoom(t, options(t, app))
		send(r, callOf("first", "hog"))
		for i := range maxFunctions - 1 {
			wantAnswer(t, <-send(r, callOf(fmt.Sprint("f", i), "run")))
			if i < 2 {
				time.Sleep(2 * time.Second)
			}
		}
		time.Sleep(2 * time.Second)
		wantAnswer(t, <-send(r, callOf("f0", "again")))
		wantAnswer(t, <-send(r, callOf("new", "run")))
		r.mu.Lock()
		for name, want := range map[string]bool{"first": true, "f0": true, "f1": false, "f2": true, "new": true} {
			if got := r.functions["shop-"+name] != nil; got != want {
				t.Errorf("%s is known: %v, want %v", name, got, want)
			}
		}
		if n := len(r.functions); n != maxFunctions {
			t.Errorf("%d functions are known, want %d", n, maxFunctions)
		}
		r.mu.Unlock()
		time.Sleep(3 * time.Hour)
	})
}

// Who is next stays next when a function before it has nothing more to do.
func TestRoom_keepsTheTurnWhenAnEarlierFunctionHasNoCallsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(5 * time.Second)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		send(r, callOf("a", "a0"))
		synctest.Wait()
		gone := false
		for _, run := range []string{"a1", "a2", "b1", "b2", "c1", "c2"} {
			c := callOf(run[:1], run)
			c.Gone = func() bool { return gone && run == "a2" }
			send(r, c)
			synctest.Wait()
		}
		time.Sleep(12 * time.Second) // a1 and b1 went
		r.mu.Lock()
		gone = true
		r.mu.Unlock()
		time.Sleep(time.Minute)
		if got := fmt.Sprint(app.seen()); got != "[a0 a1 b1 c1 b2 c2]" {
			t.Errorf("order = %s, want c after b", got)
		}
	})
}

// A function with large calls does not fill the room either, but one call of it
// may be as large as the room.
func TestRoom_keepsBytesForOtherFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		o := options(t, app)
		o.Wait.MaxBytes = 100 << 10
		r := newRoom(t, o)
		wantAnswer(t, <-send(r, callOf("other", "known")))
		app.set(func(a *fakeApp) { a.open, a.downSince = true, time.Now() })
		large := func(function, run string, bytes int) <-chan result {
			c := callOf(function, run)
			c.Body = make([]byte, bytes)
			return send(r, c)
		}
		var hogs []<-chan result
		for i := range 8 {
			hogs = append(hogs, large("hog", fmt.Sprint(i), 9<<10))
			synctest.Wait()
		}
		e := refusal(t, <-large("hog", "over", 9<<10))
		if want := "73728 bytes of calls of this function wait already, and one function may have 76800B, three quarters of the room (apps[].wait.max_bytes)"; e.Code != inngest.CodeWaitingRoomFull || !strings.Contains(e.Detail, want) {
			t.Errorf("error = %v, want waiting_room_full: %s", e, want)
		}
		other := large("other", "run", 20<<10)
		time.Sleep(time.Second)
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-other)
		for _, one := range hogs {
			wantAnswer(t, <-one)
		}
		time.Sleep(5 * time.Second)
		app.set(func(a *fakeApp) { a.open = true })
		alone := large("hog", "alone", 90<<10)
		time.Sleep(time.Second)
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-alone)
	})
}
