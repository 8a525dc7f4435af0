package deliver

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWorker_backsOffAndComesBackWhenInngestDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(500)
		c, a := inBubble(t, func() int { return int(status.Load()) }, func(o *Options) { o.Breaker.OpenFor = 10 * time.Second })
		first, second := newPaper("1", batch(5, 1, 2)), newPaper("2", batch(1, 1))
		second.Body = []byte(`[{"name":"x","n":"later"}]`)
		stop := workOn(t, c, first, second)
		pass(10 * time.Minute)
		if n := len(a.sent()); n < 20 || n > 70 {
			t.Errorf("%d POSTs in 10 minutes of outage", n)
		}
		status.Store(0)
		pass(time.Minute)
		if first.seen().acks != 1 || second.seen().acks != 1 || len(first.seen().letters) != 1 {
			t.Errorf("after the outage: %+v, %+v", first.seen(), second.seen())
		}
		stop()
	})
}

func TestWorker_honoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(http.StatusTooManyRequests)
		c, a := inBubble(t, func() int { return int(status.Load()) }, nil)
		p := newPaper("1", batch(1, 1))
		stop := workOn(t, c, p)
		synctest.Wait()
		status.Store(0)
		pass(19 * time.Second)
		if n := len(a.sent()); n != 1 {
			t.Errorf("%d POSTs within the time that was asked for", n)
		}
		pass(3 * time.Second)
		if p.seen().acks != 1 {
			t.Errorf("not delivered after it: %+v", p.seen())
		}
		stop()
	})
}

func TestWorker_claimsWhatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inBubble(t, func() int { time.Sleep(9 * time.Second); return 0 }, nil)
		p := newPaper("1", batch(1, 1))
		stop := workOn(t, c, p)
		pass(20 * time.Second)
		if p.seen().extended != 4 || p.seen().acks != 1 {
			t.Errorf("extended %d times in 9s, want 4; %d acks", p.seen().extended, p.seen().acks)
		}
		stop()
	})
}

// A claim that lapses all the same, as when the process stood still, makes no
// second delivery.
func TestWorker_knowsARecordThatComesTwice(t *testing.T) {
	for name, c := range map[string]struct{ counts, odd []int }{
		"while it is tried in vain":   {[]int{3}, []int{0, 1, 2}},
		"with another one behind":     {[]int{3, 2}, []int{0, 1, 2}},
		"while it is on its way":      {[]int{3, 2, 2}, nil},
		"while it is being confirmed": {[]int{1, 1, 1, 1}, []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cured atomic.Bool
				client, a := withOdd(t, func() int {
					if cured.Load() {
						return 0
					}
					return 500
				}, func(o *Options) { o.Transport = slow{o.Transport} })
				papers := records(c.counts, c.odd...)
				for _, p := range papers {
					p.slowAck = 2 * time.Second
				}
				stop := workOn(t, client, papers...)
				for n := range 1000 {
					if n == 500 {
						cured.Store(true)
					}
					pass(300 * time.Millisecond)
					for _, p := range papers {
						p.lapse()
					}
				}
				pass(10 * time.Minute)
				stop()
				total := 0
				for n, p := range papers {
					total += c.counts[n]
					if s := p.seen(); s.acks == 0 || len(s.letters) > 0 {
						t.Errorf("record %d: %+v", n, s)
					}
				}
				if d := cmp.Diff(once(total), a.counts()); d != "" {
					t.Errorf("taken (-want +got):\n%s", d)
				}
			})
		})
	}
}

// slow is a transport over a long way.
type slow struct{ http.RoundTripper }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Second)
	return s.RoundTripper.RoundTrip(r)
}

func TestWorker_doesNotWaitForAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		var papers []*paper
		for n := range 10 {
			p := newPaper(fmt.Sprint(n), batch(1, 1))
			p.Body, p.slowAck = fmt.Appendf(nil, `[{"n":"%d"}]`, n), time.Second
			papers = append(papers, p)
		}
		stop := workOn(t, c, papers...)
		synctest.Wait()
		if n := len(a.sent()); n != maxAcks+1 {
			t.Errorf("%d POSTs while the first acknowledgement is on its way, want %d", n, maxAcks+1)
		}
		pass(10 * time.Second)
		stop()
		for n, p := range papers {
			if p.seen().acks != 1 {
				t.Errorf("record %d has %d acks", n, p.seen().acks)
			}
		}
	})
}

func TestWorker_removesWhatWasDeliveredWithoutSendingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		p := newPaper("1", batch(1, 1))
		p.failAck = 2
		stop := workOn(t, c, p)
		pass(time.Second)
		stop()
		if n := len(a.sent()); n != 1 || p.seen().acks != 1 {
			t.Errorf("%d POSTs, want 1; %d acks, want 1", n, p.seen().acks)
		}
	})
}

// chain makes records of some events each whose ids follow each other, bad
// events among them.
func chain(counts []int, bad ...int) (papers []*paper) {
	at := 0
	for _, count := range counts {
		all := batch(100, 1, bad...)
		papers = append(papers, newPaper(fmt.Sprint(at), all.Part(Range{at, at + count})))
		at += count
	}
	return papers
}

func TestWorker_sendsRecordsOfOneChainTogether(t *testing.T) {
	for name, c := range map[string]struct {
		order []int // of the records in the spool
		bad   []int
		limit int // MaxEvents
		want  []int
		posts int
		left  int // dead letters
	}{
		"in order":            {[]int{0, 1, 2, 3}, nil, 500, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 0},
		"in another order":    {[]int{2, 0, 3, 1}, nil, 500, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 0},
		"a bad event":         {[]int{0, 1, 2, 3}, []int{4}, 500, []int{0, 1, 2, 3, 5, 6, 7, 8, 9}, 3, 1},
		"more than MaxEvents": {[]int{0, 1, 2, 3}, nil, 6, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 2, 0},
		"one is missing":      {[]int{0, 1, 3}, nil, 500, []int{0, 1, 2, 6, 7, 8, 9}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, a := inBubble(t, func() int { return 0 }, nil)
				all := chain([]int{1, 2, 3, 4}, c.bad...)
				var papers []*paper
				for _, n := range c.order {
					papers = append(papers, all[n])
				}
				stop := workWith(t, c.limit, client, papers...)
				pass(10 * time.Second)
				stop()
				var want []string
				for _, n := range c.want {
					want = append(want, fmt.Sprint(n))
				}
				if d := cmp.Diff(want, a.order); d != "" {
					t.Errorf("taken (-want +got):\n%s", d)
				}
				for n, id := range a.ids {
					var i int
					fmt.Sscan(n, &i)
					if id != seed.ID(i+1) {
						t.Errorf("event %s has id %s", n, id)
					}
				}
				letters := 0
				for n, p := range papers {
					if letters += len(p.seen().letters); p.seen().acks != 1 {
						t.Errorf("record %d has %d acks", n, p.seen().acks)
					}
				}
				if letters != c.left {
					t.Errorf("%d dead letters, want %d", letters, c.left)
				}
				if n := len(a.sent()); n != c.posts {
					t.Errorf("%d POSTs, want %d", n, c.posts)
				}
			})
		})
	}
}

func TestWorker_goesOnWithWhatIsLeftOfSeveralRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var posts atomic.Int64
		c, a := inBubble(t, func() int {
			if n := posts.Add(1); n == 3 || n > 4 && n < 9 {
				return 500
			}
			return 0
		}, func(o *Options) { o.Breaker.OpenFor = 10 * time.Second })
		papers := chain([]int{5, 5, 5, 5}, 7, 16)
		stop := workOn(t, c, papers...)
		pass(10 * time.Minute)
		stop()
		if d := cmp.Diff(once(20, 7, 16), a.counts()); d != "" {
			t.Errorf("taken (-want +got):\n%s", d)
		}
		for n, p := range papers {
			if want := n % 2; p.seen().acks != 1 || len(p.seen().letters) != want {
				t.Errorf("record %d: %d acks, letters %v", n, p.seen().acks, p.seen().letters)
			}
		}
	})
}

func TestWorker_keepsTheRecordWhileThereIsNoPlaceForDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		p := newPaper("1", batch(4, 1, 0, 2))
		p.failAside = 5
		stop := workOn(t, c, p)
		pass(time.Second)
		if p.seen().acks != 0 {
			t.Error("removed before its dead letters were kept")
		}
		posts := len(a.sent())
		pass(time.Minute)
		stop()
		if p.seen().acks != 1 || len(p.seen().letters) != 2 || len(a.sent()) != posts {
			t.Errorf("acks %d, letters %v, %d POSTs after %d", p.seen().acks, p.seen().letters, len(a.sent()), posts)
		}
	})
}

func TestWorker_setsAsideWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inBubble(t, func() int { return 0 }, nil)
		p := newPaper("1", batch(3, 1))
		p.Seed = "none"
		stop := workOn(t, c, p)
		pass(time.Second)
		stop()
		if p.seen().acks != 1 || len(p.seen().letters) != 1 {
			t.Errorf("acks %d, letters %v", p.seen().acks, p.seen().letters)
		}
	})
}
