package deliver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// odd is what makes an event one to which there is no clear answer.
const odd = `"odd":true`

// withOdd makes a client whose API answers any body that has such an event with
// what a function says; 0: as if it were like the others.
func withOdd(t *testing.T, status func() int, change func(*Options)) (*Client, *api) {
	t.Helper()
	c, a := inBubble(t, func() int { return 0 }, change)
	a.fault = func(post int, w http.ResponseWriter, _ *http.Request) bool {
		s := 0
		if strings.Contains(a.posts[post-1].body, odd) {
			s = status()
		}
		if s != 0 {
			w.WriteHeader(s)
			fmt.Fprint(w, "<html>no</html>")
		}
		return s != 0
	}
	return c, a
}

func fixed(status int) func() int { return func() int { return status } }

// records makes records of some events each, numbered through, some of them odd.
// No two of them go out together.
func records(counts []int, which ...int) (papers []*paper) {
	at := 0
	for n, count := range counts {
		b := batch(at+count, 1).Part(Range{at, at + count})
		if b == nil {
			panic("no such part")
		}
		for _, o := range which {
			b.Body = []byte(strings.ReplaceAll(string(b.Body), fmt.Sprintf(`"n":"%d"`, o), fmt.Sprintf(`"n":"%d",%s`, o, odd)))
		}
		p := newPaper(fmt.Sprint("r", n), b)
		p.Traceparent = fmt.Sprint(n)
		papers = append(papers, p)
		at += count
	}
	return papers
}

func repeat(n, count int) []int { return slices.Repeat([]int{count}, n) }

// oddPosts counts how often odd events were sent alone, and how many POSTs there were.
func oddPosts(a *api) (alone, all int) {
	for _, p := range a.sent() {
		if strings.Contains(p.body, odd) {
			if all++; p.events == 1 {
				alone++
			}
		}
	}
	return alone, all
}

func TestDoubt_anEventWithoutAClearAnswerHoldsUpNobody(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		counts []int
		odd    []int
	}{
		"a 500":                                 {500, []int{3, 40, 5, 6}, []int{17}},
		"a page with status 200":                {200, []int{3, 40, 5, 6}, []int{17}},
		"a firewall's 403":                      {403, []int{3, 40, 5, 6}, []int{17}},
		"a 404":                                 {404, []int{40, 5, 6}, []int{0}},
		"a 413 of a proxy":                      {413, []int{40, 5, 6}, []int{39}},
		"a record of one":                       {500, []int{1, 1, 1, 1}, []int{1}},
		"several in one record":                 {502, []int{100, 5, 6}, []int{0, 1, 40, 77, 99}},
		"several in a row":                      {500, []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, []int{4, 7, 8, 9, 10, 12, 15}},
		"all of a record":                       {500, []int{8, 5, 6}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		"the first and one much further behind": {500, repeat(40, 3), []int{0, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, a := withOdd(t, fixed(c.status), nil)
				papers := records(c.counts, c.odd...)
				total := 0
				for _, n := range c.counts {
					total += n
				}
				d, stop := workUnder(t, client, nil, papers...)
				pass(10 * time.Minute)
				if d := cmp.Diff(once(total, c.odd...), a.counts()); d != "" {
					t.Errorf("taken (-want +got):\n%s", d)
				}
				if s := d.Status(); s.SetBackEvents != len(c.odd) || s.SetBackRecords == 0 || len(s.Blocked) != 0 {
					t.Errorf("Status = %+v, want %d events set back and nothing blocked", s, len(c.odd))
				}
				for n, id := range a.ids {
					var i int
					fmt.Sscan(n, &i)
					if id != seed.ID(i+1) {
						t.Errorf("event %s has id %s", n, id)
					}
				}
				if !client.Up("prod") {
					t.Error("what is about one event keeps the breaker open")
				}
				_, before := oddPosts(a)
				pass(20 * time.Minute)
				alone, after := oddPosts(a)
				if n, want := after-before, 10*len(c.odd); n == 0 || n > want || alone == 0 {
					t.Errorf("%d POSTs of %d odd events in 20 minutes, want at most %d", n, len(c.odd), want)
				}
				pass(2 * time.Hour) // longer than the age
				stop()
				letters := 0
				for n, p := range papers {
					s := p.seen()
					if letters += len(s.letters); s.acks != 1 {
						t.Errorf("record %d has %d acks", n, s.acks)
					}
					for _, l := range s.letters {
						if !strings.HasPrefix(l, "1: in the spool for longer than 1h0m0s: event API answered") {
							t.Errorf("letter %q", l)
						}
					}
				}
				if letters != len(c.odd) || d.Status().SetBackRecords != 0 {
					t.Errorf("%d dead letters, want %d; %+v", letters, len(c.odd), d.Status())
				}
			})
		})
	}
}

// Records that can go out together do so, as far as none of them is odd.
func TestDoubt_costsLittleAmongRecordsThatGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 400
		c, a := withOdd(t, fixed(500), func(o *Options) { o.Breaker.OpenFor = 2 * time.Second })
		papers := records(repeat(count, 1), 50, 200, 377)
		for _, p := range papers {
			p.Traceparent = ""
		}
		stop := workOn(t, c, papers...)
		pass(10 * time.Minute)
		stop()
		if d := cmp.Diff(once(count, 50, 200, 377), a.counts()); d != "" {
			t.Errorf("taken (-want +got):\n%s", d)
		}
		_, odd := oddPosts(a)
		if n := len(a.sent()) - odd; n > 120 {
			t.Errorf("%d POSTs for %d events", n, count)
		}
		if odd > 150 {
			t.Errorf("%d POSTs of 3 odd events", odd)
		}
		t.Logf("%d POSTs, %d of them of odd events", len(a.sent()), odd)
	})
}

func TestDoubt_whatGetsAnAnswerLaterIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(500)
		c, a := withOdd(t, func() int { return int(status.Load()) }, nil)
		papers := records([]int{10, 10, 10}, 4, 5, 22)
		d, stop := workUnder(t, c, nil, papers...)
		pass(10 * time.Minute)
		status.Store(0)
		pass(10 * time.Minute)
		stop()
		if d := cmp.Diff(once(30), a.counts()); d != "" {
			t.Errorf("taken (-want +got):\n%s", d)
		}
		for n, p := range papers {
			if s := p.seen(); s.acks != 1 || len(s.letters) != 0 {
				t.Errorf("record %d: %+v", n, s)
			}
		}
		if s := d.Status(); s.SetBackRecords != 0 {
			t.Errorf("Status = %+v", s)
		}
		if got := testutil.ToFloat64(d.o.Metrics.SetBack.WithLabelValues("prod")); got != 2 {
			t.Errorf("%v records counted as set back, want 2", got)
		}
	})
}

// The other events of a record that is set back go out, in halves of halves, before
// the records behind the one that was tried in its place.
func TestDoubt_keepsTheOrderOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := withOdd(t, fixed(500), nil)
		stop := workOn(t, c, records([]int{2, 4, 1, 3, 3}, 3)...)
		pass(10 * time.Minute)
		stop()
		want := []string{"0", "1", "6", "4", "5", "2", "7", "8", "9", "10", "11", "12"}
		if d := cmp.Diff(want, a.order); d != "" {
			t.Errorf("taken in order (-want +got):\n%s", d)
		}
	})
}

// away is a transport that may fail before anything arrives.
type away struct {
	http.RoundTripper
	fail func(*http.Request) error
}

func (a away) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := a.fail(r); err != nil {
		r.Body.Close()
		return nil, err
	}
	return a.RoundTripper.RoundTrip(r)
}

// While Inngest is ill or away nothing is set back, whatever its answers look
// like, and all goes out in its order when it is back.
func TestDoubt_isNotAboutEventsWhileInngestIsAway(t *testing.T) {
	for name, status := range map[string]int{
		"500": 500, "502": 502, "a page": 200, "404 of a wrong URL": 404, "403 of a firewall": 403,
		"503": 503, "429": http.StatusTooManyRequests, "no answer": -1, "nobody there": -2,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				var posts atomic.Int64
				c, a := inBubble(t, func() int {
					if up.Load() {
						return 0
					}
					return status
				}, func(o *Options) {
					o.Transport = away{o.Transport, func(r *http.Request) error {
						posts.Add(1)
						switch {
						case up.Load() || status > 0:
							return nil
						case status == -1:
							<-r.Context().Done()
						}
						return http.ErrServerClosed
					}}
				})
				d, stop := workUnder(t, c, nil, records(repeat(30, 2))...)
				pass(30 * time.Minute)
				if n := posts.Load(); n > 200 {
					t.Errorf("%d POSTs in half an hour", n)
				}
				up.Store(true)
				pass(10 * time.Minute)
				stop()
				if got := testutil.ToFloat64(d.o.Metrics.SetBack.WithLabelValues("prod")); got != 0 {
					t.Errorf("%v records were set back", got)
				}
				for n, got := range a.order {
					if got != fmt.Sprint(n) {
						t.Fatalf("event %s is the %dth: %v", got, n, a.order)
					}
				}
				if d := cmp.Diff(once(60), a.counts()); d != "" {
					t.Errorf("taken (-want +got):\n%s", d)
				}
			})
		})
	}
}

// One that gets no clear answer, and then Inngest goes away: the answers do not
// add up over that, and what is set back waits like everything else.
func TestDoubt_waitsWhileInngestIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		c, a := withOdd(t, fixed(500), nil)
		fault := a.fault
		a.fault = func(post int, w http.ResponseWriter, r *http.Request) bool {
			if away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return fault(post, w, r)
		}
		papers := records(repeat(5, 8), 3)
		_, stop := workUnder(t, c, func(o *DrainerOptions) { o.MaxAge = 24 * time.Hour }, papers...)
		pass(time.Minute)
		away.Store(true)
		before := len(a.sent())
		pass(10 * time.Hour)
		if n := len(a.sent()) - before; n > 1000 {
			t.Errorf("%d POSTs while Inngest is away", n)
		}
		away.Store(false)
		pass(10 * time.Minute)
		stop()
		if d := cmp.Diff(once(40, 3), a.counts()); d != "" {
			t.Errorf("taken (-want +got):\n%s", d)
		}
	})
}

// A spool that is started anew hands out again at once what was given back for
// later. That makes no more POSTs.
func TestDoubt_keepsItsTimeWhenTheSpoolDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := withOdd(t, fixed(500), nil)
		papers := records([]int{1, 1, 1, 1, 1, 1}, 0, 2, 4)
		_, stop := workUnder(t, c, nil, papers...)
		pass(30 * time.Minute)
		before := len(a.sent())
		for range 100 {
			for _, p := range papers {
				p.forget()
			}
			pass(time.Second)
		}
		stop()
		if n := len(a.sent()) - before; n > 6 {
			t.Errorf("%d POSTs of 3 events in 100 seconds", n)
		}
		if d := cmp.Diff(once(6, 0, 2, 4), a.counts()); d != "" {
			t.Errorf("taken (-want +got):\n%s", d)
		}
	})
}

// More odd records than may be set back hold up the others, as they would
// without all this, until some of them have ended.
func TestDoubt_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := withOdd(t, fixed(500), nil)
		const most, many = 20, 30
		var all []int
		for n := range many {
			all = append(all, 2*n) // between them are others
		}
		papers := records(repeat(2*many, 1), all...)
		d, stop := workUnder(t, c, func(o *DrainerOptions) { o.MaxAge, o.MaxSetBack = 10*time.Hour, most }, papers...)
		pass(9 * time.Hour)
		if s := d.Status(); s.SetBackRecords != most || s.SetBackEvents != most || len(s.Blocked) != 1 {
			t.Errorf("Status = %+v", s)
		}
		pass(2 * time.Hour)
		stop()
		// All the others are there, none is set back before its time.
		got := a.counts()
		for n, p := range papers {
			s, letters, taken := p.seen(), 1-n%2, n%2
			if n > 2*most && len(s.letters) == 1 {
				letters, taken = 1, 0 // it was held up for too long
			}
			if s.acks != 1 || len(s.letters) != letters || got[fmt.Sprint(n)] != taken {
				t.Errorf("record %d: %+v, taken %d times", n, s, got[fmt.Sprint(n)])
			}
		}
	})
}
