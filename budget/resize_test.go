package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestResize_letsThoseInWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 20)
		if err := b.Acquire(t.Context(), 80); err != nil {
			t.Fatal(err)
		}
		request := wait(t, b.Acquire, t.Context(), 30)
		if request.done {
			t.Fatal("a request got what only answers may use")
		}
		if err := b.Resize(130, 20); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !request.done || request.err != nil {
			t.Errorf("with room for it the request got %v (done %v)", request.err, request.done)
		}
		if got := testutil.ToFloat64(b.limitBytes); got != 130 || b.Max() != 130 {
			t.Errorf("the limit is %d, its gauge says %v", b.Max(), got)
		}
		if got := testutil.ToFloat64(b.usedBytes); got != 110 {
			t.Errorf("the gauge of used bytes says %v", got)
		}
	})
}

// Less than what is charged takes nothing away; it only grants nothing.
func TestResize_belowWhatIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 20)
		if err := b.Acquire(t.Context(), 80); err != nil {
			t.Fatal(err)
		}
		if err := b.Resize(50, 10); err != nil {
			t.Fatal(err)
		}
		if tryAcquire(b, 1) {
			t.Error("more was granted than there is")
		}
		if err := b.Acquire(t.Context(), 41); err == nil {
			t.Error("more was granted than requests may ever use")
		}
		answer := wait(t, b.AcquireAnswer, t.Context(), 10)
		b.Release(40)
		synctest.Wait()
		if !answer.done || answer.err != nil {
			t.Errorf("the answer that waited got %v (done %v)", answer.err, answer.done)
		}
		b.Release(50)
		time.Sleep(time.Hour)
		if b.Used() != 0 {
			t.Errorf("%d bytes are charged in the end", b.Used())
		}
	})
}

func TestResize_refusesWhatNewRefuses(t *testing.T) {
	b := newBudget(t, 100, 20)
	for name, size := range map[string][2]int64{"nothing": {0, 0}, "a reserve of all": {10, 10}, "a negative reserve": {10, -1}} {
		if err := b.Resize(size[0], size[1]); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if b.Max() != 100 {
		t.Errorf("the limit is %d after it was refused", b.Max())
	}
}
