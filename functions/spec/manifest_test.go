package spec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/functions/spec"
)

func TestReadManifest_takesURLsOfThePublisher(t *testing.T) {
	for name, text := range map[string]string{
		"the list alone": `[{"id":"f","triggers":[{"event":"e"}],"retries":2,"endpoint":"/hooks/f?a=b"}]`,
		"in an object":   `{"functions":[{"id":"f","triggers":[{"event":"e"}],"retries":2,"endpoint":{"url":"http://orders:8080/hooks/f?a=b"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			all, problems := spec.Reader{App: "functions"}.ReadManifest([]byte(text), "http://orders:8080")
			if problems != nil {
				t.Fatal(problems)
			}
			f := all[0]
			if f.Endpoint.URL != "http://orders:8080/hooks/f?a=b" || *f.Settings.Retries != 2 || f.Published != "http://orders:8080" || f.App != "functions" {
				t.Errorf("function = %+v, endpoint %+v", f, f.Endpoint)
			}
		})
	}
}

func TestReadManifest_refusesWhatItMayNotSay(t *testing.T) {
	secret := func(string) (string, string) { t.Error("a manifest read a secret"); return "x", "" }
	for name, c := range map[string]struct{ text, want string }{
		"another host":      {`[{"id":"f","triggers":[{"event":"e"}],"endpoint":"http://169.254.169.254/latest"}]`, `functions[0].endpoint is "http://169.254.169.254/latest", want a URL of http://orders:8080, which published it`},
		"a host by slashes": {`[{"id":"f","triggers":[{"event":"e"}],"endpoint":"//evil/x"}]`, `functions[0].endpoint is "//evil/x", want an http or https URL`},
		"another app":       {`[{"id":"f","app":"shop","triggers":[{"event":"e"}],"endpoint":"/f"}]`, `functions[0].app is "shop", want no app`},
		"no JSON":           {`- id: f`, "functions is no JSON: "},
		"two values":        {`[] []`, "functions is no JSON: something follows"},
		"unknown members":   {`{"function":[]}`, `manifest is an object with the member "function", want the member "functions" alone`},
		"too many":          {"[" + strings.Repeat("0,", 1000) + "0]", "functions is 1001 functions, want at most 1000"},
		"no list":           {`{"functions":{}}`, "functions is a group of settings, want a list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := spec.Reader{App: "functions", Secret: secret}.ReadManifest([]byte(c.text), "http://orders:8080")
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
				t.Errorf("problems = %v, want %s…", problems, c.want)
			}
		})
	}
}

func TestReadManifest_takesStepsOfThePublisher(t *testing.T) {
	const steps = `[{"id":"a","post":"/a","body":{"post":"/b"}},
		{"if":"true","then":[{"id":"c","get":"/c?x=${event.data.x}"}],"else":[{"parallel":[{"id":"d","get":"/d"},[{"id":"e","get":"http://orders:8080/e"}]]}]}]`
	text := `[{"id":"f","triggers":[{"event":"e"}],"steps":` + steps + `,"onFailure":{"steps":[{"id":"g","post":"/g"}]}}]`
	all, problems := spec.Reader{App: "functions"}.ReadManifest([]byte(text), "http://orders:8080/base")
	if problems != nil {
		t.Fatal(problems)
	}
	if d := cmp.Diff([]string{"http://orders:8080"}, all[0].Origins()); d != "" {
		t.Errorf("origins (-want +got):\n%s", d)
	}
	text = strings.Replace(text, "http://orders:8080/e", "http://evil/e", 1)
	_, problems = spec.Reader{App: "functions"}.ReadManifest([]byte(text), "http://orders:8080")
	want := `functions[0].steps is "http://evil", want a URL of http://orders:8080, which published it: a manifest cannot send the gateway elsewhere`
	if problems.Error() != want {
		t.Errorf("problems = %v, want %s", problems, want)
	}
}

func TestReadManifest_takesReferencesLiterally(t *testing.T) {
	r := spec.Reader{App: "functions", Secret: func(string) (string, string) { t.Error("a manifest read a secret"); return "x", "" }}
	all, problems := r.ReadManifest([]byte(`[{"id":"f","triggers":[{"event":"e"}],"endpoint":{"url":"/f","headers":{"X-Key":"env:HOME"}}}]`), "http://orders:8080")
	if problems != nil {
		t.Fatal(problems)
	}
	if d := cmp.Diff([]spec.Header{{Name: "X-Key", Value: "env:HOME"}}, all[0].Endpoint.Headers); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
}
