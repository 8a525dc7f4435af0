package deliver

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever a server does with a batch, what is left of it is sent until nothing
// is: then each good event was taken under its own id, each bad one refused, and
// none was taken again that an answer had said was taken.
func TestSend_losesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 40).Draw(t, "count")
		bad := rapid.SliceOfDistinct(rapid.IntRange(0, count-1), rapid.ID[int]).Draw(t, "bad")
		slices.Sort(bad)
		size := rapid.IntRange(0, 200).Draw(t, "size")
		a := &api{took: map[string]int{}, ids: map[string]string{}}
		a.wholly = rapid.Bool().Draw(t, "wholly")
		a.keys = map[string]bool{rapid.SampledFrom([]string{"key-1", "key-2"}).Draw(t, "key"): true}
		if rapid.Bool().Draw(t, "limited") {
			a.maxBytes = rapid.IntRange(450, 3000).Draw(t, "maxBytes") // one event always fits in
		}
		lost := map[string]int{} // events of answers that did not arrive
		faults := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 401, 429, 500, 503, 200, 1}), 0, 30).Draw(t, "faults")
		a.fault = func(post int, w http.ResponseWriter, _ *http.Request) bool {
			if post > len(faults) || faults[post-1] < 2 {
				return false
			}
			w.WriteHeader(faults[post-1])
			return true
		}
		o := clientOptions("http://inngest")
		o.Breaker.ConsecutiveFailures = 1000
		o.Transport = lossy{direct{a}, func() bool { return len(a.posts) <= len(faults) && faults[len(a.posts)-1] == 1 }, func() {
			for n := range a.took {
				lost[n]++
			}
		}}
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		b := batch(count, size, bad...)
		b.KeyID = "two"
		var refused []int
		left := []Range{{0, count}}
		for round := 0; len(left) > 0; round++ {
			if round > 100 {
				t.Fatalf("still left after 100 rounds: %v", left)
			}
			var next []Range
			for _, r := range left {
				got := c.Send(t.Context(), b.Part(r))
				if (got.Err == nil) != (len(got.Left) == 0) {
					t.Fatalf("Err is %v, left %v", got.Err, got.Left)
				}
				for _, l := range got.Left {
					next = append(next, Range{r.From + l.From, r.From + l.To})
				}
				for _, x := range got.Refused {
					refused = append(refused, r.From+x.Index)
				}
			}
			left = next
		}
		slices.Sort(refused)
		if !slices.Equal(refused, bad) {
			t.Fatalf("refused %v, want %v", refused, bad)
		}
		want := once(count, bad...)
		got := a.counts()
		for n := range got {
			if lost[n] > 0 && got[n] > 1 { // an answer that told of it may have been lost
				got[n] = 1
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("taken (-want +got):\n%s", d)
		}
		for n, id := range a.ids {
			var i int
			fmt.Sscan(n, &i)
			if id != seed.ID(i+1) {
				t.Fatalf("event %d has id %s, want %s", i, id, seed.ID(i+1))
			}
		}
	})
}

// lossy loses answers on their way back.
type lossy struct {
	direct
	lose func() bool
	lost func()
}

func (l lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := l.direct.RoundTrip(r)
	if err == nil && l.lose() {
		l.lost()
		return nil, http.ErrServerClosed
	}
	return a, err
}
