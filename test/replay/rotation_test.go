package replay

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// Load of the rotation tests: callers at once, and what each asks.
const (
	callers   = 8
	callsEach = 40
)

// rotating is the configuration of a gateway in the middle of a rotation.
func rotating(server *double, app config.App, current, fallback string) config.Config {
	c := configuration(server, app)
	c.Inngest.SigningKey, c.Inngest.SigningKeyFallback = config.NewSecret(current), config.NewSecret(fallback)
	return c
}

// While keys rotate, calls are signed with the old key and with the new one at
// the same time, and one replica of the gateway has changed over, the other has
// not.
func TestRotation_failsNoCall(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		app, server := startDouble(t), startDouble(t)
		keys := []signature.Key{key(t, recorded.SigningKey), key(t, fallbackKey)}
		real, template := verifierOf(t, keys...), recorded.One(t, 5)
		believes := m.judge(t, real)
		var doubted atomic.Int64
		app.answers(func(call message) message {
			if !believes(call) {
				doubted.Add(1)
			}
			return answerTo(call)
		})
		replicas := []*gateway.Gateway{
			startGateway(t, rotating(server, m.appAt(app, "js-app", appPath), recorded.SigningKey, fallbackKey), nil),
			startGateway(t, rotating(server, m.appAt(app, "js-app", appPath), fallbackKey, recorded.SigningKey), nil),
		}
		atOnce(func(n int) {
			keep := n%4 < 2
			c := &connection{address: replicas[n%2].InngestAddr()}
			defer c.close()
			for i := range callsEach {
				call := callOf(template, n*callsEach+i, keys[i%2], keep)
				answer, err := c.ask(call)
				if err != nil {
					t.Errorf("caller %d: %v", n, err)
					return
				}
				if want := answerTo(call); answer.status() != 206 || string(answer.body) != string(want.body) {
					t.Errorf("caller %d got %s %s, want 206 %s", n, answer.start, answer.body, want.body)
				}
				if err := real.VerifyAnswer([]byte(answer.get(inngest.HeaderSignature)), answer.body); err != nil && m.seals() {
					t.Errorf("caller %d would not have believed the answer: %v", n, err)
				}
			}
		})
		if n := doubted.Load(); n != 0 {
			t.Errorf("the app would not have believed %d calls", n)
		}
		if n := len(app.got()); n != callers*callsEach {
			t.Errorf("the app got %d calls, want %d", n, callers*callsEach)
		}
	})
}

// In the other direction Inngest changes over in one moment. Whoever asks with
// the key that it does not take is not told so: the other one is tried.
func TestRotation_failsNoRequestOfAnApp(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		app, server := startDouble(t), startDouble(t)
		old, rotated := key(t, recorded.SigningKey), key(t, fallbackKey)
		var taken atomic.Int64
		server.answers(func(request message) message {
			wants := old
			if taken.Load() >= callers*callsEach/2 {
				wants = rotated
			}
			if request.get("Authorization") != "Bearer "+signature.BearerToken(wants) {
				return message{start: "HTTP/1.1 401 Unauthorized", fields: fields("Content-Length", "0")}
			}
			taken.Add(1)
			return message{start: "HTTP/1.1 200 OK", fields: fields("Content-Length", "0")}
		})
		g := startGateway(t, rotating(server, m.appAt(app, "js-app", appPath), recorded.SigningKey, fallbackKey), nil)
		checkpoint := m.appSends(t, recorded.One(t, 20))
		atOnce(func(n int) {
			c := &connection{address: g.AppsAddr()}
			defer c.close()
			for range callsEach {
				if answer, err := c.ask(checkpoint); err != nil || answer.status() != 200 {
					t.Errorf("app %d got %s %s, %v", n, answer.start, answer.body, err)
					return
				}
			}
		})
		if n := taken.Load(); n != callers*callsEach {
			t.Errorf("Inngest took %d checkpoints, want %d", n, callers*callsEach)
		}
	})
}

// atOnce runs f for each caller and waits for all.
func atOnce(f func(caller int)) {
	var load sync.WaitGroup
	for n := range callers {
		load.Go(func() { f(n) })
	}
	load.Wait()
}

func verifierOf(tb testing.TB, keys ...signature.Key) *signature.Verifier {
	tb.Helper()
	v, err := signature.NewVerifier(signature.Options{Keys: keys, Tolerance: time.Minute, MaxCanonical: -1, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// judge tells whether an app in that mode would believe a call: in passthrough
// it has the real keys, in resign its own, in strip it verifies nothing and must
// get no signature.
func (m mode) judge(tb testing.TB, real *signature.Verifier) func(call message) bool {
	tb.Helper()
	verifier := real
	switch m.signing {
	case config.SigningResign:
		verifier = verifierOf(tb, m.app)
	case config.SigningStrip:
		return func(call message) bool { return call.get(inngest.HeaderSignature) == "" }
	}
	return func(call message) bool {
		return verifier.Verify([]byte(call.get(inngest.HeaderSignature)), call.body) == nil
	}
}

// callOf is the recorded call as the n-th of a load: of another run and job,
// signed with that key now.
func callOf(x recorded.Exchange, n int, k signature.Key, keep bool) message {
	run, job := x.Request.Get(inngest.HeaderRunID), x.Request.Get(inngest.HeaderJobID)
	other := strings.NewReplacer(run, fmt.Sprintf("%s%06d", run[:len(run)-6], n), job, fmt.Sprintf("%s%06d", job[:len(job)-6], n))
	call := requestOf(x)
	call.body = []byte(other.Replace(string(call.body)))
	for i, f := range call.fields {
		call.fields[i].Value = other.Replace(f.Value)
	}
	call.fields = with(call.fields, inngest.HeaderSignature, signature.Sign(k, call.body, time.Now()))
	if keep {
		call.fields = with(call.fields, "Connection", "")
	}
	return call
}

// answerTo is an answer that tells whose it is.
func answerTo(call message) message {
	body := `[{"id":"` + call.get(inngest.HeaderRunID) + `","op":"StepRun"}]`
	return message{start: "HTTP/1.1 206 Partial Content", body: []byte(body), fields: fields(
		"Content-Type", "application/json", inngest.HeaderSDK, "inngest-js:v4.24.0", "Content-Length", fmt.Sprint(len(body)),
	)}
}
