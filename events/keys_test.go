package events

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func newKeys(t testing.TB, dir string, configured ...string) *Keys {
	t.Helper()
	k, err := NewKeys(KeysOptions{Configured: map[string][]string{"prod": configured}, Dir: dir, Max: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func TestKeys_knowsByID(t *testing.T) {
	for name, c := range map[string]struct {
		id   string
		want []string
	}{
		"the current key": {deliver.KeyID("new"), []string{"new", "old"}},
		"a fallback":      {deliver.KeyID("old"), []string{"old", "new"}},
		"a key of an app": {deliver.KeyID("own"), []string{"own"}},
		"nobody's":        {deliver.KeyID("?"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeys(t, t.TempDir(), "new", "old")
			k.note("prod", "own")
			k.note("prod", "new")
			got, ok := k.EventKeys("prod", c.id)
			if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want != nil) {
				t.Errorf("EventKeys = %v (-want +got):\n%s", ok, diff)
			}
			if _, ok := k.EventKeys("test", c.id); ok {
				t.Error("the key is known in another environment")
			}
		})
	}
}

func TestKeys_keepsWhatTheSpoolNeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	k := newKeys(t, dir, "configured")
	own, configured := k.note("prod", "own"), k.note("prod", "configured")
	k.note("prod", "never spooled")
	for range 2 {
		if err := errors.Join(k.keep("prod", own), k.keep("prod", configured)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err != nil || strings.Contains(string(text), `"configured"`) || strings.Count(string(text), "{") != 2 {
		t.Errorf("the file has %q, %v; want one line a key, and no configured one", text, err)
	}
	if info, err := os.Stat(filepath.Join(dir, keysFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want it for its owner alone", info.Mode(), err)
	}
	// A crash cut the last line, and the configuration has a new key.
	if err := os.WriteFile(filepath.Join(dir, keysFile), append(text, `{"environment":"prod","id":"12`...), 0o600); err != nil {
		t.Fatal(err)
	}
	k = newKeys(t, dir, "rotated")
	for id, want := range map[string][]string{own: {"own"}, configured: {"rotated"}, deliver.KeyID("never spooled"): nil} {
		if got, _ := k.EventKeys("prod", id); !cmp.Equal(got, want) {
			t.Errorf("EventKeys after a restart = %q, want %q", got, want)
		}
	}
	if err := k.keep("prod", k.note("prod", "another")); err != nil {
		t.Fatal(err)
	}
	if got, _ := newKeys(t, dir).EventKeys("prod", deliver.KeyID("another")); !cmp.Equal(got, []string{"another"}) {
		t.Errorf("after a line that was cut, EventKeys = %q", got)
	}
}

func TestKeys_withoutAFolderKeepsConfiguredOnesAlone(t *testing.T) {
	k := newKeys(t, "", "configured")
	if err := k.keep("prod", k.note("prod", "configured")); err != nil {
		t.Errorf("keep of a configured key = %v", err)
	}
	if err := k.keep("prod", k.note("prod", "own")); !errors.Is(err, errNotKeepable) {
		t.Errorf("keep of an app's key = %v, want errNotKeepable", err)
	}
	// Only configured ones are spooled, so one that is not known was one.
	if got, _ := k.EventKeys("prod", deliver.KeyID("rotated away")); !cmp.Equal(got, []string{"configured"}) {
		t.Errorf("EventKeys = %q, want the configured key", got)
	}
}

func TestKeys_areBounded(t *testing.T) {
	k := newKeys(t, t.TempDir(), "configured")
	kept := k.note("prod", "kept")
	if err := k.keep("prod", kept); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		k.note("prod", fmt.Sprint(n))
	}
	if n := len(k.known); n > 3 {
		t.Errorf("%d keys are known, the bound is 3", n)
	}
	if _, ok := k.EventKeys("prod", kept); !ok {
		t.Error("a key that the spool needs is forgotten")
	}
	if _, ok := k.EventKeys("prod", deliver.KeyID("99")); !ok {
		t.Error("the last key is forgotten")
	}
	failed := 0
	for n := range 10 {
		if err := k.keep("prod", k.note("prod", fmt.Sprint("new", n))); errors.Is(err, errNotKeepable) {
			failed++
		}
	}
	if failed < 7 {
		t.Errorf("%d of 10 keys were refused, the bound is 3", failed)
	}
	if err := k.keep("prod", k.note("prod", "configured")); err != nil {
		t.Errorf("keep of a configured key beyond the bound = %v", err)
	}
}

func TestHybrid_keepsTheKeyBeforeTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, func(o *Options) { o.Keys = newKeys(t, dir, testKey) })
		r.inngest.away = errors.New("connection refused")
		r.disk.before = func() {
			if got, ok := newKeys(t, dir).EventKeys("prod", deliver.KeyID("own")); !ok || got[0] != "own" {
				t.Error("events are stored before their key")
			}
		}
		q := request(event(1))
		q.Key = "own"
		r.send(t, q).taken(t, 1)
	})
}

func TestHybrid_refusesWhatItCannotKeepTheKeyOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, nil)
		r.options.Keys.dir = filepath.Join(file, "nowhere")
		r.inngest.away = errors.New("connection refused")
		if got := r.send(t, request(event(1))); got.Code != inngest.CodeSpoolUnavailable {
			t.Errorf("answer = %s", got.Body)
		}
	})
}
