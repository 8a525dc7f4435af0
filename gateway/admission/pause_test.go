package admission

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestPause_parksAFunctionAndLeavesTheOthersAlone(t *testing.T) {
	for name, paused := range map[string]string{"by its id": "f", "with the app's before it": "shop-f"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{}
				r := newRoom(t, options(t, app))
				if err := r.Pause(paused, time.Time{}); err != nil {
					t.Fatal(err)
				}
				parked := send(r, callOf("f", "run"))
				wantAnswer(t, <-send(r, callOf("g", "other")))
				time.Sleep(30 * time.Second)
				if s := r.Status(); s.Parked != 1 || s.State != "open" || !s.Functions[0].Paused {
					t.Errorf("status = %+v, want one parked call of a paused function", s)
				}
				if err := r.Resume(paused); err != nil {
					t.Fatal(err)
				}
				got := <-parked
				wantAnswer(t, got)
				if got.after > 31*time.Second {
					t.Errorf("answered %v after its arrival, want right after the pause", got.after)
				}
				if err := r.Resume(paused); !errors.Is(err, ErrNotPaused) {
					t.Errorf("Resume of what is not paused = %v", err)
				}
			})
		})
	}
}

func TestPause_ofTheAppEndsByItselfAndSpreadsWhatItKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(10 * time.Second)}
		r := newRoom(t, options(t, app))
		until := time.Now().Add(20 * time.Second)
		if err := r.Pause("", until); err != nil {
			t.Fatal(err)
		}
		var all []<-chan result
		for i := range 50 {
			all = append(all, send(r, newCall(fmt.Sprint(i))))
		}
		time.Sleep(20*time.Second + 300*time.Millisecond)
		if n := len(app.seen()); n == 0 || n > 4 {
			t.Errorf("the app has %d calls right after the pause, want a few", n)
		}
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if s := r.Status(); len(s.Pauses) != 0 {
			t.Errorf("pauses = %+v, want none", s.Pauses)
		}
	})
}

func TestPause_thatOutlastsTheWaitTellsWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, options(t, &fakeApp{}))
		if err := r.Pause("f", time.Now().Add(10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		e := refusal(t, <-send(r, newCall("run")))
		want := "The function f of the app shop is paused since 00:00:00 UTC until 00:10:00 UTC; the call was parked for 50 s (apps[].wait.max), nothing of it reached the app."
		if e.Code != inngest.CodePaused || e.Detail != want {
			t.Errorf("error = %v, want paused: %s", e, want)
		}
		if left := 10*time.Minute - 51*time.Second; e.RetryAfter < left || e.RetryAfter > left+left/5 {
			t.Errorf("to be called again in %v, want the end of the pause and a little more", e.RetryAfter)
		}
	})
}

func TestPause_survivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := NewFolder(filepath.Join(t.TempDir(), "admission"), time.Now)
		o := options(t, &fakeApp{})
		o.Store = folder.App("Shop/1")
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		want := []Pause{
			{Function: "f", Since: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour)},
			{Since: time.Now().UTC()},
		}
		if err := r.Pause("f", want[0].Until); err != nil {
			t.Fatal(err)
		}
		if err := r.Pause("", time.Time{}); err != nil {
			t.Fatal(err)
		}
		o.Store = folder.App("Shop/1")
		again, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		utc := cmp.Transformer("UTC", func(t time.Time) time.Time { return t.UTC() })
		if diff := cmp.Diff(want, again.Status().Pauses, utc); diff != "" {
			t.Errorf("pauses after a restart (-want +got):\n%s", diff)
		}
		if s := again.Status(); s.State != "paused" {
			t.Errorf("state after a restart = %s, want paused", s.State)
		}
	})
}

func TestPause_isNoLongerBecauseTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		asked := Pause{Function: "f", Since: time.Now(), Until: time.Now().Add(10 * time.Minute)}
		if err := NewFolder(dir, time.Now).App("shop").Save(State{Pauses: []Pause{asked, {Since: time.Now()}}}); err != nil {
			t.Fatal(err)
		}
		for step, left := range map[time.Duration]time.Duration{
			-time.Hour:      10 * time.Minute,
			0:               10 * time.Minute,
			4 * time.Minute: 6 * time.Minute,
			time.Hour:       -50 * time.Minute,
		} {
			now := func() time.Time { return time.Now().Add(step) }
			s, err := NewFolder(dir, now).App("shop").Load()
			if err != nil || len(s.Pauses) != 2 {
				t.Fatalf("Load = %+v, %v", s, err)
			}
			if got := s.Pauses[0].Until.Sub(now()); got != left || !s.Pauses[1].Until.IsZero() {
				t.Errorf("after a step of %v %v are left, want %v", step, got, left)
			}
		}
	})
}

func TestPause_refusesATimeThatIsOver(t *testing.T) {
	r, err := New(options(t, &fakeApp{}))
	if err != nil {
		t.Fatal(err)
	}
	if r.Pause("", time.Now().Add(-time.Minute)) == nil || len(r.Status().Pauses) != 0 {
		t.Error("a pause in the past is taken")
	}
}

func TestFile_setsDamageAside(t *testing.T) {
	dir := t.TempDir()
	f := NewFolder(dir, time.Now).App("shop")
	if s, err := f.Load(); err != nil || len(s.Pauses) != 0 {
		t.Fatalf("Load of nothing = %v, %v", s, err)
	}
	if err := f.Save(State{Pauses: []Pause{{Function: "f"}}}); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Load(); err != nil || len(s.Pauses) != 1 {
		t.Fatalf("Load = %v, %v, want what was saved", s, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.json"), []byte(`{"pauses":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Load(); err != nil || len(s.Pauses) != 0 {
		t.Errorf("Load of damage = %v, %v, want an empty state", s, err)
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, "shop.json.damaged-*")); len(aside) != 1 {
		t.Errorf("set aside: %v, want the damaged file", aside)
	}
}

// Run looks once a second where nothing waits. A call that comes before that
// finds the pause over all the same.
func TestPause_isOverForACallThatComesRightAfterIt(t *testing.T) {
	for _, paused := range []string{"", "f"} {
		synctest.Test(t, func(t *testing.T) {
			o := options(t, &fakeApp{})
			o.Wait.Max = 0
			r := newRoom(t, o)
			time.Sleep(500 * time.Millisecond)
			until := time.Now().Add(3300 * time.Millisecond)
			if err := r.Pause(paused, until); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3299 * time.Millisecond)
			if e := refusal(t, <-send(r, newCall("before"))); e.Code != inngest.CodePaused {
				t.Errorf("code before the end of the pause = %s, want paused", e.Code)
			}
			time.Sleep(time.Millisecond)
			wantAnswer(t, <-send(r, newCall("after")))
			if s := r.Status(); s.State != "open" || len(s.Pauses) != 0 {
				t.Errorf("status = %+v, want an open room without pauses", s)
			}
		})
	}
}

func TestPause_thatEndsInTheMomentOfTheRefusalIsToldAsThat(t *testing.T) {
	for paused, want := range map[string]string{
		"":  "The app shop was paused until 00:00:20 UTC, and this call's turn had not come; the call was parked for 20 s (apps[].wait.max), nothing of it reached the app.",
		"f": "The function f of the app shop was paused until 00:00:20 UTC, and this call's turn had not come; the call was parked for 20 s (apps[].wait.max), nothing of it reached the app.",
	} {
		synctest.Test(t, func(t *testing.T) {
			o := options(t, &fakeApp{})
			o.Wait.Max = 20 * time.Second
			r, err := New(o) // nobody runs it: nobody looks
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Pause(paused, time.Now().Add(20*time.Second)); err != nil {
				t.Fatal(err)
			}
			parked := send(r, newCall("run"))
			time.Sleep(20 * time.Second)
			r.eachSecond(time.Now())
			e := refusal(t, <-parked)
			if e.Code != inngest.CodePaused || e.Detail != want || e.RetryAfter < 0 || e.RetryAfter > spreadAfter {
				t.Errorf("error = %v, to be called again in %v; want at once or a little later: %s", e, e.RetryAfter, want)
			}
		})
	}
}

// All that a pause kept away would come back at its end.
func TestPause_spreadsWhatComesBackAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, &fakeApp{})
		o.Wait.Max = 0
		r := newRoom(t, o)
		if err := r.Pause("", time.Now().Add(10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		seconds := map[int]int{}
		for i := range 600 {
			e := refusal(t, <-send(r, newCall(fmt.Sprint(i))))
			if e.RetryAfter < 10*time.Minute || e.RetryAfter > 11*time.Minute {
				t.Fatalf("to be called again in %v, want within a tenth after the pause", e.RetryAfter)
			}
			seconds[int(e.RetryAfter/time.Second)]++
		}
		if len(seconds) < 50 {
			t.Errorf("600 calls come back in %d different seconds, want about 60", len(seconds))
		}
	})
}

// fullDisk is a store that cannot save for a while.
type fullDisk struct {
	memory
	full  bool
	tries int
}

func (d *fullDisk) Save(s State) error {
	d.tries++
	if d.full {
		return errors.New("no space left on device")
	}
	return d.memory.Save(s)
}

func TestPause_thatCannotBeKeptIsInForceAndIsKeptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{full: true}
		o := options(t, &fakeApp{})
		o.Store = disk
		r := newRoom(t, o)
		controls := Controls(map[string]*Room{"shop": r}, func(string) (string, []string) { return "", nil })
		got, err := controls["pause"](t.Context(), []byte(`{"target":"shop"}`))
		a, ok := got.(PauseAnswer)
		want := `the pause is in force, but a restart would end it, because the state is not kept: keep the state of app "shop": no space left on device`
		if err != nil || !ok || a.NotKept != want || r.Status().State != "paused" {
			t.Errorf("pause = %+v, %v in state %s; want it in force, and: %s", got, err, r.Status().State, want)
		}
		time.Sleep(time.Minute)
		r.saving.Lock()
		if disk.tries < 3 || disk.tries > 8 {
			t.Errorf("%d tries to save in a minute, want some", disk.tries)
		}
		disk.full = false
		r.saving.Unlock()
		time.Sleep(time.Minute)
		r.saving.Lock()
		defer r.saving.Unlock()
		if len(disk.state.Pauses) != 1 || disk.saves != 1 {
			t.Errorf("kept %d times: %+v, want the pause, once", disk.saves, disk.state)
		}
	})
}

func TestStatus_tellsNoPauseThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(options(t, &fakeApp{})) // nobody runs it: nobody looks
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Pause("", time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.State != "paused" || len(s.Pauses) != 1 {
			t.Errorf("status = %+v, want paused", s)
		}
		time.Sleep(time.Minute)
		if s := r.Status(); s.State != "open" || len(s.Pauses) != 0 {
			t.Errorf("status = %+v, want open and no pause", s)
		}
	})
}

func TestPause_thatIsOverIsNotGoneOnWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(options(t, &fakeApp{})) // nobody runs it: nobody looks
		if err != nil {
			t.Fatal(err)
		}
		pause := func() {
			if err := r.Pause("f", time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		pause()
		time.Sleep(time.Minute)
		pause()
		if all := r.Status().Pauses; len(all) != 1 || !all[0].Since.Equal(time.Now()) {
			t.Errorf("pauses = %+v, want one that began now", all)
		}
		time.Sleep(time.Minute)
		if err := r.Resume("f"); !errors.Is(err, ErrNotPaused) {
			t.Errorf("Resume of a pause that is over = %v", err)
		}
	})
}
