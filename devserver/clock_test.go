package devserver

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestClock_neverGoesBack(t *testing.T) {
	c := NewClock()
	c.Advance(time.Hour)
	c.Advance(-2 * time.Hour)
	if d := time.Until(c.Now()); d < 59*time.Minute || d > time.Hour || c.Ahead() != time.Hour {
		t.Errorf("clock is %v ahead, says %v", d, c.Ahead())
	}
}

func TestClock_tellsOfJumps(t *testing.T) {
	c := NewClock()
	jump := c.jump()
	select {
	case <-jump:
		t.Error("there was no jump")
	default:
	}
	c.Advance(1)
	<-jump
}

func TestQueue_givesBackWhatIsDueInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_000_000, 0)
		var q queue
		type entry struct {
			at      int
			n       int
			stopped bool
		}
		var want []entry
		var got []int
		timers := map[int]*timer{}
		for n, at := range rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "times") {
			timers[n] = q.add(start.Add(time.Duration(at)*time.Second), func() { got = append(got, n) })
			want = append(want, entry{at: at, n: n})
		}
		for i := range want {
			if rapid.Bool().Draw(t, "stop") {
				want[i].stopped = true
				if !q.stop(timers[want[i].n]) || q.stop(timers[want[i].n]) {
					t.Fatal("a timer stops once")
				}
			}
		}
		now := rapid.IntRange(0, 20).Draw(t, "now")
		want = slices.DeleteFunc(want, func(e entry) bool { return e.stopped || e.at > now })
		slices.SortStableFunc(want, func(a, b entry) int { return a.at - b.at })
		for {
			timer, ok := q.due(start.Add(time.Duration(now) * time.Second))
			if !ok {
				break
			}
			timer.fn()
		}
		order := []int{}
		for _, e := range want {
			order = append(order, e.n)
		}
		if !slices.Equal(order, got) && len(order)+len(got) > 0 {
			t.Fatalf("due %v, want %v", got, order)
		}
		if at, ok := q.next(); ok && !at.After(start.Add(time.Duration(now)*time.Second)) {
			t.Fatalf("next is due")
		}
	})
}
