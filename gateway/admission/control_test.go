package admission

import (
	"context"
	"path"
	"strings"
	"testing"
	"time"
)

func TestControls_pauseAndResumeWhatTheTargetNames(t *testing.T) {
	rooms := map[string]*Room{}
	for _, app := range []string{"shop", "shop/eu", "mail"} {
		o := options(t, &fakeApp{})
		o.App = app
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		rooms[app] = r
	}
	controls := Controls(rooms, func(app string) (string, []string) {
		return path.Base(app), map[string][]string{"shop/eu": {"eu-order", "eu-send-mail"}, "mail": {"mail-send"}}[app]
	})
	for _, c := range []struct {
		name, body string
		app        string // with that many pauses afterwards
		pauses     int
		err        string
	}{
		{"pause", `{"target":"shop"}`, "shop", 1, ""},
		{"pause", `{"target":"shop/order","for_seconds":600}`, "shop", 2, ""},
		{"pause", `{"target":"shop/eu"}`, "shop/eu", 1, ""},
		{"pause", `{"target":"shop/eu/order"}`, "shop/eu", 2, ""},
		{"pause", `{"target":"shop/order"}`, "shop", 2, ""},
		{"pause", `{"target":"other"}`, "shop", 2, `no app is called "other"; there are: mail, shop, shop/eu`},
		{"pause", `{"target":"mail/"}`, "mail", 0, `no app is called "mail/"`},
		{"pause", `{"target":"mail","for_seconds":-1}`, "mail", 0, "not possible"},
		{"pause", `{"target":"mail","for_seconds":1e300}`, "mail", 0, "not possible"},
		{"pause", `{"target":"mial"}`, "mail", 0, `no app is called "mial"; there are: mail, shop, shop/eu`},
		{"pause", `{"target":"mail","for_seconds":36000000}`, "mail", 0, "a pause of 10000h is not possible: 8784h is the longest, and 0 has no end"},
		{"pause", `{"target":"shop/eu/send-mial"}`, "shop/eu", 2, `the app shop/eu has no function "send-mial"; there are: send-mail, order`},
		{"pause", `{"target":"shop/eu/eu-send-mail"}`, "shop/eu", 3, ""},
		{"pause", `{"target":"shop/eu/send-mail"}`, "shop/eu", 3, ""},
		{"resume", `{"target":"shop/eu/send-mail"}`, "shop/eu", 2, ""},
		{"pause", `{"target":"mail/mail-send"}`, "mail", 1, ""},
		{"resume", `{"target":"mail/send"}`, "mail", 0, ""},
		{"pause", `mail`, "mail", 0, "not understood"},
		{"resume", `{"target":"shop/bill"}`, "shop", 2, "shop/bill is not paused; paused are: shop, shop/order"},
		{"resume", `{"target":"shop"}`, "shop", 1, ""},
		{"resume", `{"target":"shop/order"}`, "shop", 0, ""},
		{"resume", `{"target":"mail"}`, "mail", 0, "mail is not paused"},
	} {
		_, err := controls[c.name](context.Background(), []byte(c.body))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s %s = %v, want %q", c.name, c.body, err, c.err)
		}
		if n := len(rooms[c.app].Status().Pauses); n != c.pauses {
			t.Errorf("after %s %s %s has %d pauses, want %d", c.name, c.body, c.app, n, c.pauses)
		}
	}
	got, err := controls["pause"](context.Background(), []byte(`{"target":"mail/send","for_seconds":90}`))
	a, ok := got.(PauseAnswer)
	if err != nil || !ok || a.App != "mail" || a.Function != "send" || time.Until(a.Until) > 90*time.Second || time.Until(a.Until) < 80*time.Second {
		t.Errorf("pause = %+v, %v", got, err)
	}
}
