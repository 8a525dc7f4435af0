package apps

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzSealWrapper: what is sealed says what it said before, and its one
// signature is the real key's over the inner body that the server reads.
func FuzzSealWrapper(f *testing.F) {
	f.Add(recording(f, 103).Response.Body)
	f.Add([]byte(`{"headers":{"X-Inngest-Signature":"t=1&s=a","a":"b"},"body":{"n":1e400},"status":206}`))
	f.Add([]byte("\n {\"BODY\":\"\\ud83d\\ude00\\ud800\",\"x\":[],\"headers\":null}\n"))
	now := time.Unix(1795541512, 0)
	o := pairOptions(f, Strip, at(now))
	p := newPair(f, o)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := p.SealWrapper(body)
		if err != nil {
			return
		}
		if want, have := unsealed(t, body), unsealed(t, got); !cmp.Equal(want, have) {
			t.Errorf("SealWrapper(%q) = %q: %s", body, got, cmp.Diff(want, have))
		}
		top, _ := members(got, span{skipSpace(got, 0), len(got)})
		w := wrapper{text: got, top: top}
		if err := w.read(); err != nil {
			t.Fatalf("SealWrapper(%q) = %q: %v", body, got, err)
		}
		if by := signedBy(t, []byte(w.signature), w.body, now); by != "real" {
			t.Errorf("SealWrapper(%q) = %q, signed by %s", body, got, by)
		}
	})
}

// unsealed decodes a wrapper without the signature, and without headers that
// held nothing else.
func unsealed(t *testing.T, body []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var w map[string]any
	if err := d.Decode(&w); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	for name, value := range w {
		if !strings.EqualFold(name, "headers") {
			continue
		}
		headers, _ := value.(map[string]any)
		for field := range headers {
			if strings.EqualFold(field, "x-inngest-signature") {
				delete(headers, field)
			}
		}
		if len(headers) == 0 {
			delete(w, name)
		}
	}
	return w
}
