package apps

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func inBandOf(t testing.TB, number int) *inngest.InBandAnswer {
	t.Helper()
	var a inngest.InBandAnswer
	if err := json.Unmarshal(recording(t, number).Response.Body, &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

func decoded(t testing.TB, text []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// The server took what 39 posts; 31 is what JS posts itself where 26 is what it
// answers in band.
func TestFromInBand_makesTheRegistrationThatTheServerTook(t *testing.T) {
	for name, c := range map[string]struct{ answer, register int }{
		"Go": {34, 39}, "JS": {26, 31},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := fromInBand("shop", inBandOf(t, c.answer), http.Header{}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			want := decoded(t, recording(t, c.register).Request.Body)
			if diff := cmp.Diff(want, decoded(t, m.Body)); diff != "" {
				t.Errorf("made of %d: %s", c.answer, diff)
			}
		})
	}
}

func TestFromInBand_takesTheSDKFromWhereItStands(t *testing.T) {
	env := "branch"
	for name, c := range map[string]struct {
		answer inngest.InBandAnswer
		header http.Header
		sdk    string
	}{
		"its own member":          {inngest.InBandAnswer{SDK: "js:v4.24.0", SDKLanguage: "x", SDKVersion: "1"}, nil, "js:v4.24.0"},
		"language and version":    {inngest.InBandAnswer{SDKLanguage: "py", SDKVersion: "0.5.1"}, nil, "py:v0.5.1"},
		"the header":              {inngest.InBandAnswer{}, http.Header{"X-Inngest-Sdk": {"inngest-js:v4.24.0"}}, "js:v4.24.0"},
		"and the env of its body": {inngest.InBandAnswer{SDK: "js:v1", Env: &env}, nil, "js:v1"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.header == nil {
				c.header = http.Header{}
			}
			c.answer.AppID = "shop"
			m, err := fromInBand("shop", &c.answer, c.header, time.Now())
			if err != nil || m.register.SDK != c.sdk {
				t.Errorf("sdk %q, want %q (%v)", m.register.SDK, c.sdk, err)
			}
			if c.answer.Env != nil && m.Header.Get(inngest.HeaderEnv) != env {
				t.Errorf("header %v, want the env %s", m.Header, env)
			}
		})
	}
}

// An app that registers itself is answered for as if it had answered.
func TestInBand_saysWhatTheAppWouldHaveSaid(t *testing.T) {
	x := recording(t, 26)
	m, err := newManifest("shop", recording(t, 31).Request.Body, http.Header{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m.inBand(inBandOf(t, 26).Inspection))
	if err != nil {
		t.Fatal(err)
	}
	got, want := decoded(t, text), decoded(t, x.Response.Body)
	if got["platform"] == nil {
		delete(got, "platform") // JS leaves out what is not known
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestManifest_isTheSameInAnotherOrder(t *testing.T) {
	of := func(number int) *manifest {
		m, err := fromInBand("shop", inBandOf(t, number), http.Header{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if m, err = m.at(mustURL(t, shopURL)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	goOne, goTwo, other := of(32), of(34), of(26)
	if !goOne.same(goTwo) || goOne.same(other) {
		t.Errorf("same = %v for another order, %v for another app", goOne.same(goTwo), goOne.same(other))
	}
	elsewhere, err := goOne.at(mustURL(t, "https://elsewhere/api"))
	if err != nil || elsewhere.same(goOne) {
		t.Errorf("a manifest is the same at another URL (%v)", err)
	}
}
