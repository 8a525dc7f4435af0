package pool

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// outcomeOf makes a call and says what came of it. What is neither the call's
// own answer nor an error is a failure of the test.
func outcomeOf(t testing.TB, u *Upstream, cl *call.Call) faultyapp.Outcome {
	t.Helper()
	a, err := u.Do(t.Context(), cl)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Endpoint == "" {
			t.Errorf("error %v is no *Error with an endpoint", err)
		}
		return faultyapp.NoAnswer
	}
	defer a.Release()
	body, streamErr := drain(a)
	switch {
	case streamErr != nil:
		return faultyapp.NoAnswer
	case body == faultyapp.Own(string(cl.Body)):
		return faultyapp.OwnAnswer
	case a.Status >= 400 || a.Status == 204 && body == "":
		return faultyapp.NoAnswer // as good as an error
	}
	t.Errorf("call %.30q got %d %.60q, which is not its answer", cl.Body, a.Status, body)
	return ""
}

func drain(a *call.Answer) (string, error) {
	if a.Stream == nil {
		return string(a.Body), nil
	}
	body, err := io.ReadAll(a.Stream)
	return string(body), err
}

func TestDo_makesOfEachFaultWhatItIs(t *testing.T) {
	for _, fault := range faultyapp.Repertoire() {
		t.Run(fault.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				u := run(t, options(t, "http://app:80").inMemory(&network))
				for i := range 3 {
					cl := faulty(fmt.Sprint("call ", i), fault)
					got := outcomeOf(t, u, cl)
					if fault.Want != faultyapp.Either && got != fault.Want {
						t.Errorf("call %d: %s, want %s", i, got, fault.Want)
					}
					honest := post(fmt.Sprint("honest ", i))
					if got := outcomeOf(t, u, honest); got != faultyapp.OwnAnswer && i == 0 {
						t.Errorf("an honest call behind it: %s", got)
					}
					time.Sleep(time.Second)
				}
				app.Stop()
			})
		})
	}
}

// Over sockets the bytes of an answer come as they come.
func TestDo_givesNoCallTheAnswerOfAnother(t *testing.T) {
	for _, fault := range faultyapp.Repertoire() {
		if fault.Late {
			continue // sure only in the bubble below: here the app may sleep for longer than a connection rests
		}
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			app := faultyapp.Start(t, faultyapp.Options{})
			storm(t, fault, options(t, app.URL()))
		})
	}
}

func TestDo_givesNoCallTheAnswerOfAnotherInMemory(t *testing.T) {
	for _, fault := range faultyapp.Repertoire() {
		t.Run(fault.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				storm(t, fault, options(t, "http://app:80").inMemory(&network))
				app.Stop()
			})
		})
	}
}

// storm makes many calls at once, two of three of them with the fault.
func storm(t *testing.T, fault faultyapp.Fault, o Options) {
	const callers, calls = 6, 6
	rounds := calls
	if fault.Hangs {
		o.AnswerTimeout, rounds = time.Second, 2
	}
	u := run(t, o)
	var own atomic.Int64
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range rounds {
				body := fmt.Sprintf("call %d of caller %d %s", i, caller, strings.Repeat("x", caller*20))
				cl := faulty(body, fault)
				if i%3 == 2 {
					cl = post(body)
				}
				if outcomeOf(t, u, cl) == faultyapp.OwnAnswer {
					own.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got := own.Load(); fault.Want == faultyapp.OwnAnswer && got != int64(callers*rounds) {
		t.Errorf("%d of %d calls were answered", got, callers*rounds)
	}
}

func TestDo_namesWhatWentWrong(t *testing.T) {
	for name, want := range map[string]inngest.Code{
		"resets without a word":          inngest.CodeUpstreamReset,
		"closes without a word":          inngest.CodeUpstreamReset,
		"half an answer":                 inngest.CodeUpstreamReset,
		"chunks that stop":               inngest.CodeUpstreamReset,
		"reset instead of the end":       inngest.CodeUpstreamReset,
		"an unasked 101":                 inngest.CodeUpstreamBadAnswer,
		"both lengths":                   inngest.CodeUpstreamBadAnswer,
		"two lengths":                    inngest.CodeUpstreamBadAnswer,
		"lines that end with LF":         inngest.CodeUpstreamBadAnswer,
		"a folded line":                  inngest.CodeUpstreamBadAnswer,
		"no head at all":                 inngest.CodeUpstreamBadAnswer,
		"endless interim answers":        inngest.CodeUpstreamBadAnswer,
		"a length that overflows":        inngest.CodeUpstreamBadAnswer,
		"gzip, chunked":                  inngest.CodeUpstreamBadAnswer,
		"a chunk size that overflows":    inngest.CodeUpstreamBadAnswer,
		"a chunk extension without end":  inngest.CodeUpstreamBadAnswer,
		"a flood of header lines":        inngest.CodeUpstreamTooLarge,
		"one endless header line":        inngest.CodeUpstreamTooLarge,
		"never answers":                  inngest.CodeUpstreamTimeout,
		"answers after the hang-up":      inngest.CodeUpstreamTimeout,
		"trailers without end":           inngest.CodeUpstreamBadAnswer,
		"declares too much and closes":   inngest.CodeUpstreamReset,
		"chunks in HTTP/1.0":             inngest.CodeUpstreamBadAnswer,
		"two spaces before the status":   inngest.CodeUpstreamBadAnswer,
		"a body before the head":         inngest.CodeUpstreamBadAnswer,
		"a trailer without colon":        inngest.CodeUpstreamBadAnswer,
		"a space before the colon":       inngest.CodeUpstreamBadAnswer,
		"a chunk size that ends with LF": inngest.CodeUpstreamBadAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network faultyapp.Network
				app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
				u := run(t, options(t, "http://app:80").inMemory(&network))
				cl := faulty("call", faultyapp.Named(name))
				cl.WholeAnswer = true
				began := time.Now()
				_, err := u.Do(t.Context(), cl)
				if e := wantError(t, err, want); !e.Sent {
					t.Errorf("error %v does not say that the call was sent", e)
				}
				if took := time.Since(began); want == inngest.CodeUpstreamTimeout && (took < 30*time.Second || took > 32*time.Second) {
					t.Errorf("it took %v, want the limit of 30s", took)
				}
				if app.Requests() != 1 {
					t.Errorf("the app saw the call %d times", app.Requests())
				}
				app.Stop()
			})
		})
	}
}
