package deliver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever mixture of odd, bad and good events there is, in whatever records, with
// whatever faults of Inngest in between and whichever restarts: each good event is
// taken, the odd ones too once they get an answer, each bad one becomes a dead
// letter, and none is taken again that an answer had said was taken, unless there
// was a restart.
func TestDoubt_losesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(1, 12), 1, 10).Draw(rt, "counts")
		total := 0
		for _, n := range counts {
			total += n
		}
		which := rapid.SliceOfNDistinct(rapid.IntRange(0, total-1), 0, min(total, 8), rapid.ID[int])
		odd, bad := which.Draw(rt, "odd"), which.Draw(rt, "bad")
		bad = slices.DeleteFunc(bad, func(n int) bool { return slices.Contains(odd, n) })
		m := &mixture{status: rapid.SampledFrom([]int{500, 403, 200, 413}).Draw(rt, "status"), lost: map[string]bool{}}
		m.faults = rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 500, 502, 503, 429, 200, lostAnswer}), 0, 40).Draw(rt, "faults")
		stops := rapid.SliceOfN(rapid.IntRange(1, 200), 0, 3).Draw(rt, "stops")
		together := rapid.SliceOfN(rapid.Bool(), len(counts), len(counts)).Draw(rt, "together")
		synctest.Test(t, func(t *testing.T) {
			papers := mixed(counts, together, odd, bad)
			m.run(t, rt, stops, papers)
			m.judge(rt, total, bad, papers, len(stops) > 0)
		})
	})
}

// Inngest comes back while a piece of a record is about to be tried in place of
// all of it: what it then took of the record is not in the piece.
func TestDoubt_triesNoPieceThatWasTakenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mixture{status: 413, lost: map[string]bool{}, faults: []int{502, 200, 502, 200, 500, 0, 200, 500, 500, 500}}
		papers := mixed([]int{6, 12, 1, 11}, []bool{false, true, true, false}, []int{3}, []int{0})
		m.run(t, t, nil, papers)
		m.judge(t, 30, []int{0}, papers, false)
	})
}

// mixed are records with so many events each, some in one with the record before,
// some of the events odd and some bad.
func mixed(counts []int, together []bool, odd, bad []int) []*paper {
	papers := records(counts, odd...)
	for n, p := range papers {
		if together[n] && n > 0 {
			p.Traceparent = papers[n-1].Traceparent
		}
		for _, b := range bad {
			p.Body = []byte(strings.ReplaceAll(string(p.Body), fmt.Sprintf(`"n":"%d"`, b), fmt.Sprintf(`"n":"%d","bad":true`, b)))
		}
	}
	return papers
}

// A failer is a test, or a case of a property.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// lostAnswer is a fault: the events are taken, and the answer does not arrive.
const lostAnswer = 1

// A mixture is an Inngest with faults, for odd events and others.
type mixture struct {
	api    *api
	status int   // of odd events; 0: they are like the others
	faults []int // of the first POSTs
	lost   map[string]bool
}

// run delivers records with restarts in between, and makes the odd ones like the
// others after a while.
func (m *mixture) run(t *testing.T, rt failer, stops []int, papers []*paper) {
	c := m.client(t)
	for _, seconds := range stops {
		stop := workOn(t, c, papers...)
		pass(time.Duration(seconds) * time.Second)
		stop()
	}
	stop := workOn(t, c, papers...)
	pass(20 * time.Minute)
	for n, times := range m.api.counts() {
		if times > 1 && len(stops) == 0 && !m.lost[n] {
			rt.Errorf("event %s was taken %d times", n, times)
		}
	}
	m.set(0)
	pass(20 * time.Minute)
	stop()
}

func (m *mixture) client(t *testing.T) *Client {
	t.Helper()
	var c *Client
	c, m.api = inBubble(t, func() int { return 0 }, func(o *Options) {
		o.Breaker.OpenFor = 2 * time.Second
		o.Transport = lossy{o.Transport.(direct), func() bool { return m.fault() == lostAnswer }, func() {
			for n := range m.api.took {
				m.lost[n] = true
			}
		}}
	})
	m.api.fault = func(post int, w http.ResponseWriter, _ *http.Request) bool {
		s := m.fault()
		if s <= lostAnswer {
			s = 0
			if strings.Contains(m.api.posts[post-1].body, odd) {
				s = m.status
			}
		}
		if s != 0 {
			w.WriteHeader(s)
			fmt.Fprint(w, "<html>")
		}
		return s != 0
	}
	return c
}

// fault is that of the last POST.
func (m *mixture) fault() int {
	if n := len(m.api.posts); n > 0 && n <= len(m.faults) {
		return m.faults[n-1]
	}
	return 0
}

func (m *mixture) set(status int) {
	m.api.mu.Lock()
	defer m.api.mu.Unlock()
	m.status = status
}

func (m *mixture) judge(t failer, total int, bad []int, papers []*paper, restarted bool) {
	t.Helper()
	taken := m.api.counts()
	for n := range taken {
		if restarted || m.lost[n] {
			taken[n] = 1
		}
	}
	if d := cmp.Diff(once(total, bad...), taken); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	letters := 0
	for n, p := range papers {
		s := p.seen()
		letters += len(s.letters)
		if s.acks == 0 || s.acks > 1 && !restarted {
			t.Errorf("record %d: %+v", n, s)
		}
		for _, l := range s.letters {
			if !strings.HasPrefix(l, "1: Inngest answered 400") {
				t.Errorf("letter %q", l)
			}
		}
	}
	if letters < len(bad) || letters > len(bad) && !restarted {
		t.Errorf("%d dead letters, want %d", letters, len(bad))
	}
	for n, id := range m.api.ids {
		var i int
		fmt.Sscan(n, &i)
		if id != seed.ID(i+1) {
			t.Errorf("event %s has id %s", n, id)
		}
	}
}
