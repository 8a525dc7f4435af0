package apps

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func newStore(t testing.TB, dir string) *store {
	t.Helper()
	s, err := openStore(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keptManifest(t testing.TB, app string, number int) *manifest {
	t.Helper()
	m, err := newManifest(app, recording(t, number).Request.Body, http.Header{inngest.HeaderSDK: {"js:v1"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.at(mustURL(t, shopURL)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStore_keepsAManifestByteForByte(t *testing.T) {
	s := newStore(t, t.TempDir())
	want, err := newManifest("shop", []byte(`{"appName":"shop","n":[9007199254740993,1.0,1e2],"h":"<&>\u0026"}`), http.Header{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one replaces the first
		if err := s.save(want); err != nil {
			t.Fatal(err)
		}
	}
	got, damaged, err := s.load("shop")
	if err != nil || damaged != nil || !bytes.Equal(got.Body, want.Body) || !got.same(want) || !got.At.Equal(want.At) {
		t.Errorf("load = %+v, %v, %v; want %s", got, damaged, err, want.Body)
	}
	if files, _ := os.ReadDir(s.dir); len(files) != 1 {
		t.Errorf("%d files are left, want one", len(files))
	}
	if got, damaged, err := s.load("other"); got != nil || damaged != nil || err != nil {
		t.Errorf("an app without manifest: %v, %v, %v", got, damaged, err)
	}
}

func TestStore_setsDamageAsideAndGoesOn(t *testing.T) {
	flip := func(text []byte) []byte {
		return bytes.Replace(text, []byte("t/simple"), []byte("t/sinple"), 1)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"cut":            func(text []byte) []byte { return text[:len(text)/2] },
		"zeros":          func(text []byte) []byte { return make([]byte, len(text)) },
		"a changed byte": flip,
		"no manifest":    func([]byte) []byte { return []byte(`{"sum":""}`) },
		"another app's": func(text []byte) []byte {
			return bytes.ReplaceAll(text, []byte(`"app":"shop"`), []byte(`"app":"shap"`))
		},
		"text after it":   func(text []byte) []byte { return append(text, '}') },
		"something else":  func([]byte) []byte { return []byte(`"x"`) },
		"no registration": func([]byte) []byte { return signedFile(t, `{"app":"shop","register":{}}`) },
		"a stranger's":    func([]byte) []byte { return signedFile(t, `{"app":"billing","register":{"appName":"x"}}`) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, t.TempDir())
			if err := s.save(keptManifest(t, "shop", 31)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.dir, "shop.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = damage(text)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			m, damaged, err := s.load("shop")
			if m != nil || damaged == nil || err != nil {
				t.Fatalf("load = %v, %v, %v; want damage", m, damaged, err)
			}
			aside, err := os.ReadFile(damaged.aside)
			if err != nil || !bytes.Equal(aside, text) || !strings.Contains(damaged.aside, ".damaged") {
				t.Errorf("set aside at %s: %v", damaged.aside, err)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the damaged file is still there: %v", err)
			}
		})
	}
}

func signedFile(t *testing.T, manifest string) []byte {
	t.Helper()
	text, err := json.Marshal(file{Sum: sumOf([]byte(manifest)), Manifest: json.RawMessage(manifest)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestStore_takesAwayWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	if err := s.save(keptManifest(t, "shop", 31)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".unfinished-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, _, err := newStore(t, dir).load("shop"); m == nil || err != nil {
		t.Errorf("load = %v, %v", m, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".unfinished-*")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestNew_remembersWhatWasRegistered(t *testing.T) {
	dir := t.TempDir()
	learnt := func(o *Options, _ *App) { o.StateDir, o.PublicURL = dir, "" }
	first := newWorld(t, golang, learnt)
	first.put(t, Put{Signed: true, Body: []byte(`{"url":"` + shopURL + `"}`)})

	second := newWorld(t, golang, learnt)
	if s := second.Status()[0]; s.Functions != 3 || s.PublicURL != shopURL || s.Synced.IsZero() || !s.InBand {
		t.Errorf("status after a restart: %+v", s)
	}
	if n := testutil.ToFloat64(second.metrics.Functions.WithLabelValues("js-app")); n != 3 {
		t.Errorf("%v functions measured, want 3", n)
	}
}

func TestNew_startsWithADamagedManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "js-app.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, golang, func(o *Options, _ *App) { o.StateDir = dir })
	if n := testutil.ToFloat64(w.metrics.Damaged.WithLabelValues()); n != 1 {
		t.Errorf("%v damaged manifests counted, want 1", n)
	}
	w.put(t, signedPut())
	if s := newWorld(t, golang, func(o *Options, _ *App) { o.StateDir = dir }).Status()[0]; s.Functions != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestKeep_writesOnlyWhatIsNews(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, golang, func(o *Options, _ *App) { o.StateDir = dir })
	path := filepath.Join(dir, "manifests", "js-app.json")
	var texts [][]byte
	for range 3 { // the functions come in another order each time
		w.put(t, signedPut())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if !slices.EqualFunc(texts[1:], texts[:2], bytes.Equal) {
		t.Error("the file was written again for the same functions in another order")
	}
	w.app.sdk = func(d *appDouble, c *call.Call) (int, string, bool, string) {
		status, body, signed, sync := golang(d, c)
		return status, strings.Replace(body, "g/simple", "g/other", 1), signed, sync
	}
	w.put(t, signedPut())
	if text, err := os.ReadFile(path); err != nil || !bytes.Contains(text, []byte("g/other")) {
		t.Errorf("a new trigger was not kept (%v)", err)
	}
}

func TestKeep_goesOnWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, golang, func(o *Options, _ *App) { o.StateDir = dir })
	// A file in the place of the folder: nothing can be written there.
	if err := os.RemoveAll(filepath.Join(dir, "manifests")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := w.put(t, signedPut()); a.Status != 200 {
		t.Errorf("answer %d %s", a.Status, a.Body)
	}
	if n := testutil.ToFloat64(w.metrics.Unsaved.WithLabelValues("js-app")); n != 1 {
		t.Errorf("%v unsaved manifests counted, want 1", n)
	}
	if err := os.Remove(filepath.Join(dir, "manifests")); err != nil {
		t.Fatal(err)
	}
	w.put(t, signedPut()) // nothing new, but not on disk yet
	if _, err := os.Stat(filepath.Join(dir, "manifests", "js-app.json")); err != nil {
		t.Error(err)
	}
}
