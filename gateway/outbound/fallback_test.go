package outbound

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

// takes answers 401, as the recorded server does, unless one of the keys came.
func takes(tb testing.TB, status int, keys ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, k := range keys {
			if r.Header.Get("Authorization") == "Bearer "+token(tb, k) {
				io.WriteString(w, "taken")
				return
			}
		}
		http.Error(w, "Authentication failed", status)
	}
}

// authorizations of requests, by the names of their keys.
func authorizations(tb testing.TB, arrivals []arrival) (names []string) {
	tb.Helper()
	for _, a := range arrivals {
		switch h := a.Header.Get("Authorization"); h {
		case "Bearer " + token(tb, realKey):
			names = append(names, "real")
		case "Bearer " + token(tb, fallbackKey):
			names = append(names, "fallback")
		default:
			names = append(names, h)
		}
	}
	return names
}

func TestServer_triesTheFallbackKey(t *testing.T) {
	for name, c := range map[string]struct {
		mode   apps.Mode
		sent   string // key of the app
		taken  []string
		status int // of a refusal
		path   string
		first  []string // keys that inngest sees
		again  []string // the same for a second request
		answer int
	}{
		"the current key is taken": {apps.Resign, localKey, []string{realKey}, 401, "/v1/checkpoint/r/async",
			[]string{"real"}, []string{"real"}, 200},
		"only the fallback is taken": {apps.Resign, localKey, []string{fallbackKey}, 401, "/v1/checkpoint/r/async",
			[]string{"real", "fallback"}, []string{"fallback"}, 200},
		"only the fallback is taken, 403": {apps.Resign, localKey, []string{fallbackKey}, 403, "/v1/signals",
			[]string{"real", "fallback"}, []string{"fallback"}, 200},
		"none is taken": {apps.Resign, localKey, nil, 401, "/v1/signals",
			[]string{"real", "fallback"}, []string{"real", "fallback"}, 401},
		"an app that has the real key": {apps.Passthrough, realKey, []string{fallbackKey}, 401, "/v1/signals",
			[]string{"real", "fallback"}, []string{"fallback"}, 200},
		"an app that has the fallback key already": {apps.Passthrough, fallbackKey, []string{fallbackKey}, 401, "/v1/signals",
			[]string{"fallback"}, []string{"fallback"}, 200},
		"an app that has the fallback key too early": {apps.Passthrough, fallbackKey, []string{realKey}, 401, "/v1/signals",
			[]string{"fallback", "real"}, []string{"fallback", "real"}, 200},
		"a stream is sent once": {apps.Resign, localKey, []string{fallbackKey}, 401, "/v1/realtime/publish/tee?stream",
			[]string{"real"}, []string{"real"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			d := newInngest(t, takes(t, c.status, c.taken...))
			l := serve(t, options(t, d.url, c.mode))
			for _, want := range [][]string{c.first, c.again} {
				res, body := l.do(t, "POST", c.path, "the body", "Authorization: Bearer "+token(t, c.sent))
				if res.StatusCode != c.answer {
					t.Errorf("answer = %d %s, want %d", res.StatusCode, body, c.answer)
				}
				got := d.got()
				if diff := cmp.Diff(want, authorizations(t, got)); diff != "" {
					t.Errorf("keys (-want +got):\n%s", diff)
				}
				for _, a := range got {
					if a.Body != "the body" && !strings.Contains(a.Target, "stream") {
						t.Errorf("inngest got the body %q", a.Body)
					}
				}
			}
		})
	}
}

// What the server says about a checkpoint is the SDK's to deal with.
func TestServer_neverRepeatsACheckpoint(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Resign))
	for _, status := range []int{400, 409, 413, 429, 500, 502, 503} {
		d.reply(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "as it is", status) })
		res, body := l.do(t, "POST", "/v1/checkpoint/r/async", "{}", "Authorization: Bearer "+token(t, localKey), "Idempotency-Key: 1")
		if got := d.got(); res.StatusCode != status || body != "as it is\n" || res.Header.Get("X-Gateway-Error") != "" || len(got) != 1 {
			t.Errorf("%d came back as %d %q after %d requests", status, res.StatusCode, body, len(got))
		}
	}
}

func TestServer_doesNotFallBackWithLargeBodies(t *testing.T) {
	d := newInngest(t, takes(t, 401, fallbackKey))
	o := options(t, d.url, apps.Resign)
	o.MaxBody = 10 << 10
	l := serve(t, o)
	for size, want := range map[int]int{10 << 10: 200, 10<<10 + 1: 401} {
		o.Environments[0].Keys.took(token(t, realKey)) // forget
		body := strings.Repeat("x", size)
		if res, _ := l.do(t, "POST", "/v1/signals", body, "Authorization: Bearer "+token(t, localKey)); res.StatusCode != want {
			t.Errorf("a body of %d bytes: %d, want %d", size, res.StatusCode, want)
		}
		for _, a := range d.got() {
			if a.Body != body {
				t.Errorf("inngest got %d bytes, want %d", len(a.Body), size)
			}
		}
	}
}

func TestKeys_forgetTheFallbackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeys(ring(t, realKey, fallbackKey, localKey), time.Minute)
		current, fallback, third := token(t, realKey), token(t, fallbackKey), token(t, localKey)
		check := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, k.order()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		}
		check(current, fallback, third)
		k.took(third)
		check(third, current, fallback)
		time.Sleep(59 * time.Second)
		check(third, current, fallback)
		time.Sleep(2 * time.Second)
		check(current, fallback, third)
		k.took("no key of ours")
		check(current, fallback, third)
	})
}
