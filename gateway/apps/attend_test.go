package apps

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestHint_stormCausesOneSyncIn10Seconds(t *testing.T) {
	for name, sdk := range sdks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sdk, nil)
				w.run(t)
				for range 600 { // a minute
					wantHandled(t, w.put(t, Put{Body: []byte(`{"url":"http://evil.example.com/x"}`), SyncKind: inngest.SyncInBand, Query: "deployId=evil"}))
					time.Sleep(100 * time.Millisecond)
				}
				if n := len(w.server.got()); n < 5 || n > 6 {
					t.Errorf("%d registrations in a minute, want 6 at most", n)
				}
				for _, post := range w.server.got() {
					if strings.Contains(string(post.Body)+post.Query, "evil") {
						t.Errorf("posted what a stranger said: %s", post.Body)
					}
				}
				if n := w.app.calls(); n > 6 {
					t.Errorf("the app was asked %d times", n)
				}
				if n := testutil.ToFloat64(w.metrics.Syncs.WithLabelValues("js-app", "hint", "refused")); n < 594 {
					t.Errorf("%v hints counted as refused, want all others", n)
				}
			})
		})
	}
}

func TestHint_answersTheSameWhateverComesOfIt(t *testing.T) {
	for name, break1 := range map[string]func(*world){
		"the app is away":      func(w *world) { w.app.down = errDown },
		"Inngest is away":      func(w *world) { w.server.down = errDown },
		"Inngest refuses":      func(w *world) { w.server.status = 400 },
		"the app knows nobody": func(w *world) { w.app.key = mustKey(w.app.t, localText) },
		"Inngest hangs":        func(w *world) { w.server.block = make(chan struct{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, golang, nil)
				break1(w)
				w.run(t)
				began := time.Now()
				wantHandled(t, w.put(t, Put{}))
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the answer took %v", took)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if s := w.Status()[0]; s.Failure == "" {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

func TestHint_withoutPublicURLDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, func(o *Options, _ *App) { o.PublicURL = "" })
		w.run(t)
		wantHandled(t, w.put(t, Put{Body: []byte(`{"url":"http://evil.example.com/x"}`)}))
		if w.app.calls() != 0 || len(w.server.got()) != 0 || w.PublicURL("js-app") != "" {
			t.Errorf("%d questions, %d registrations, public URL %q", w.app.calls(), len(w.server.got()), w.PublicURL("js-app"))
		}
	})
}

func TestRetell_everyTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, nil)
		w.put(t, signedPut())
		w.run(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		posts := w.server.got()
		if n := len(posts); n < 6 || n > 8 {
			t.Errorf("%d registrations in an hour, want one and then one every 9 to 11 minutes", n)
		}
		for _, post := range posts {
			wantRegistered(t, post.Body)
		}
	})
}

func TestRetell_ofNothingIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, nil)
		w.run(t)
		w.NotifyRecovered()
		time.Sleep(time.Hour)
		if w.app.calls() != 0 || len(w.server.got()) != 0 {
			t.Errorf("an app that never registered was asked %d times", w.app.calls())
		}
	})
}

func TestRetell_canBeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, func(o *Options, _ *App) { o.Retell = 0 })
		w.put(t, signedPut())
		w.run(t)
		time.Sleep(24 * time.Hour)
		if n := len(w.server.got()); n != 1 {
			t.Errorf("%d registrations, want the first alone", n)
		}
		w.NotifyRecovered()
		synctest.Wait()
		if n := len(w.server.got()); n != 2 {
			t.Errorf("%d registrations after an outage, want 2", n)
		}
	})
}

// A gateway that missed a sync, which another replica had, must not take the
// server back to what was true before.
func TestRetell_asksTheAppFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, js, nil)
		w.put(t, signedPut())
		w.app.set(func(d *appDouble) { d.version = "new" })
		w.run(t)
		w.NotifyRecovered()
		synctest.Wait()
		if posts := w.server.got(); len(posts) != 2 || !strings.Contains(string(posts[1].Body), `"t/new"`) {
			t.Errorf("%d registrations; the last does not tell what the app has now", len(posts))
		}
	})
}

func TestRetell_tellsOfAnAppThatIsAwayAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, nil)
		w.put(t, signedPut())
		w.app.set(func(d *appDouble) { d.down = errDown })
		w.run(t)
		w.NotifyRecovered()
		synctest.Wait()
		posts := w.server.got()
		if len(posts) != 2 {
			t.Fatalf("%d registrations, want 2", len(posts))
		}
		wantRegistered(t, posts[1].Body)
	})
}

func TestRetell_afterAnOutageOfInngest(t *testing.T) {
	for name, sdk := range sdks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sdk, nil)
				w.put(t, signedPut())
				w.server.set(func(s *serverDouble) { s.down, s.posts = errors.New("away"), nil })
				w.run(t)
				time.Sleep(time.Hour)
				synctest.Wait()
				tries := len(w.server.got())
				if tries < 40 || tries > 120 {
					t.Errorf("%d attempts in an hour, want about one a minute", tries)
				}
				if s := w.Status()[0]; !s.Pending || s.Functions == 0 {
					t.Errorf("status %+v", s)
				}
				w.server.set(func(s *serverDouble) { s.down, s.posts = nil, nil })
				time.Sleep(72 * time.Second)
				synctest.Wait()
				if n := len(w.server.got()); n != 1 {
					t.Fatalf("%d registrations after the outage, want one", n)
				}
				wantRegistered(t, w.server.got()[0].Body)
				if s := w.Status()[0]; s.Pending || s.Failure != "" {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

func TestRetell_deliversWhatAnAppSaidDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, js, nil)
		w.server.status = 503
		w.app.down = errDown
		w.run(t)
		if got := w.register(t, registrationOf(t, 31)); got.Status != 503 {
			t.Errorf("answer %d %s", got.Status, got.Body)
		}
		time.Sleep(10 * time.Second)
		w.server.set(func(s *serverDouble) { s.status, s.posts = 200, nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if posts := w.server.got(); len(posts) != 1 {
			t.Fatalf("%d registrations, want one", len(posts))
		}
		wantRegistered(t, w.server.got()[0].Body)
	})
}

func TestRetell_forgetsWhatTheServerDoesNotWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, js, nil)
		w.put(t, signedPut())
		w.app.down = errDown
		w.server.down = errDown
		w.register(t, Registration{Header: http.Header{}, Body: []byte(`{"appName":"js-app","functions":[{"id":"bad"}]}`)})
		w.server.set(func(s *serverDouble) { s.down, s.status, s.posts = nil, 400, nil })
		w.run(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := w.Status()[0]; s.Pending || s.Functions != 38 || len(w.server.got()) != 1 {
			t.Errorf("%d attempts, status %+v", len(w.server.got()), s)
		}
	})
}

func TestReport_limitsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, nil)
		a := w.byID["js-app"]
		var logged, left []int
		for i := range 30 { // a server that repeats its PUT for two and a half minutes
			if leftOut, due := a.fail(errDown); due {
				logged, left = append(logged, i), append(left, leftOut)
			}
			time.Sleep(5 * time.Second)
		}
		if len(logged) != 3 || left[1] != 11 {
			t.Errorf("logged repeats %v with %v left out, want one a minute", logged, left)
		}
		if _, due := a.fail(errors.New("something else")); !due {
			t.Error("another failure was not logged")
		}
	})
}
