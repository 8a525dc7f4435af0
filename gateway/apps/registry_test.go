package apps

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNew_refusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*Options, *App){
		"no id":                  func(_ *Options, a *App) { a.ID = "" },
		"the id of another":      func(o *Options, a *App) { o.Apps = []App{*a} },
		"no path":                func(_ *Options, a *App) { a.Path = "" },
		"no upstream path":       func(_ *Options, a *App) { a.UpstreamPath = "api" },
		"no callee":              func(_ *Options, a *App) { a.Callee = nil },
		"no server":              func(o *Options, _ *App) { o.Inngest = nil },
		"no signing mode":        func(_ *Options, a *App) { a.Mode = "" },
		"no unsigned sync":       func(_ *Options, a *App) { a.UnsignedSync = "" },
		"no dialect":             func(o *Options, _ *App) { o.Dialect = "" },
		"a URL without a host":   func(o *Options, _ *App) { o.PublicURL = "gw.example.com" },
		"an origin of no kind":   func(o *Options, _ *App) { o.ServeOrigin = "ftp://gw.example.com" },
		"no timeout":             func(o *Options, _ *App) { o.Timeout = 0 },
		"a negative retelling":   func(o *Options, _ *App) { o.Retell = -1 },
		"no clock":               func(o *Options, _ *App) { o.Now = nil },
		"no metrics":             func(o *Options, _ *App) { o.Metrics = nil },
		"no log":                 func(o *Options, _ *App) { o.Log = nil },
		"a state that is a file": func(o *Options, _ *App) { o.StateDir = "/dev/null" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, js, nil)
			o := w.Registry.opts
			a := o.Apps[0]
			o.Apps = nil
			change(&o, &a)
			o.Apps = append(o.Apps, a)
			if _, err := New(o); err == nil {
				t.Error("New took it")
			}
		})
	}
	if _, err := New(Options{Apps: []App{}}); err == nil {
		t.Error("New took no app at all")
	}
}

func TestPublicURL_comesFromTheBestSource(t *testing.T) {
	for name, c := range map[string]struct {
		public, origin, put, want string
	}{
		"configured":        {"https://gw.example.com/", "https://origin", "http://put/x", "https://gw.example.com/api/shop"},
		"with a path":       {"HTTPS://gw.example.com/in", "", "", "https://gw.example.com/in/api/shop"},
		"serve origin":      {"", "http://origin:81", "http://put/x", "http://origin:81/api/shop"},
		"signed PUT":        {"", "", "http://localhost:8480/prefix/api/shop?x=y#z", "http://localhost:8480/prefix/api/shop"},
		"not known":         {"", "", "", ""},
		"PUT without a URL": {"", "", "shop", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, golang, func(o *Options, _ *App) { o.PublicURL, o.ServeOrigin = c.public, c.origin })
			w.put(t, Put{Signed: true, Body: syncBodyOf(t, c.put)})
			if got := w.PublicURL("js-app"); got != c.want {
				t.Errorf("PublicURL = %q, want %q", got, c.want)
			}
			w.put(t, Put{Signed: true, Body: syncBodyOf(t, "http://another/api/shop")})
			if got := w.PublicURL("js-app"); c.want != "" && got != c.want {
				t.Errorf("after another PUT PublicURL = %q, want the first %q", got, c.want)
			}
		})
	}
}

func syncBodyOf(t *testing.T, url string) []byte {
	t.Helper()
	body, err := syncBody(url)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestNew_takesOverTheMemoryOfTheLastRegistry(t *testing.T) {
	old := newWorld(t, golang, func(o *Options, _ *App) { o.PublicURL = "" })
	old.put(t, Put{Signed: true, Body: syncBodyOf(t, shopURL)})
	next := newWorld(t, golang, func(o *Options, a *App) { o.PublicURL, o.Previous, a.Mode = "", old.Registry, Resign })
	got, want := next.Status()[0], old.Status()[0]
	want.Mode = Resign
	if diff := cmp.Diff(want, got); diff != "" || got.Functions == 0 {
		t.Errorf("status after a reload: %s", diff)
	}
}

func TestRegistry_knowsNothingOfOtherApps(t *testing.T) {
	w := newWorld(t, golang, nil)
	if w.Pair("other") != nil || w.PublicURL("other") != "" || w.Pair("js-app") == nil {
		t.Error("an app that does not exist has a pair or a URL")
	}
	if _, err := w.Put(t.Context(), Put{App: "other"}); err == nil {
		t.Error("Put took an app that does not exist")
	}
}

func TestStatus_tellsWhatAPersonWantsToKnow(t *testing.T) {
	w := newWorld(t, golang, nil)
	before := time.Now()
	w.put(t, signedPut())
	got := w.Status()
	if got[0].Synced.Before(before.Truncate(0)) {
		t.Errorf("synced at %v", got[0].Synced)
	}
	if sdk, ids := w.Functions("js-app"); sdk != "go-app" || len(ids) != 3 || !strings.HasPrefix(ids[0], "go-app-") {
		t.Errorf("functions of %q = %q, want three that begin with the name that the SDK has", sdk, ids)
	}
	if _, ids := w.Functions("other"); ids != nil {
		t.Errorf("functions of an app that is not there = %q", ids)
	}
	got[0].Synced = time.Time{}
	want := []Status{{App: "js-app", Path: "/api/shop", Mode: Passthrough, PublicURL: shopURL, InBand: true, Functions: 3, Server: DialectAuto}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
