package inbound

import (
	"testing"

	"github.com/inngest-gateway/inngest-gateway/call"
)

func TestRedirect_leadsNowhereButBack(t *testing.T) {
	const gw = "https://gw.example.com"
	for name, c := range map[string]struct {
		location string
		want     string // empty: refused
	}{
		"relative path":           {"/other?x=1", "/other?x=1"},
		"relative name":           {"other", "other"},
		"query alone":             {"?x=1", "?x=1"},
		"own origin":              {"http://127.0.0.1:3000/new?x=1", gw + "/new?x=1"},
		"own origin, the path":    {"http://127.0.0.1:3000/inner/inngest?x=1", gw + "/api/inngest?x=1"},
		"own origin, upper case":  {"HTTP://127.0.0.1:3000/new", gw + "/new"},
		"own origin, no path":     {"http://127.0.0.1:3000", gw + "/"},
		"own origin, no scheme":   {"//127.0.0.1:3000/new", gw + "/new"},
		"own origin, fragment":    {"http://127.0.0.1:3000/new#x", gw + "/new#x"},
		"own origin, encoded":     {"http://127.0.0.1:3000/a%2Fb", gw + "/a%2Fb"},
		"second endpoint":         {"http://app:80/x", gw + "/x"},
		"default port left out":   {"http://app/x", gw + "/x"},
		"other host":              {"http://evil/x", ""},
		"other port":              {"http://127.0.0.1:3001/x", ""},
		"other scheme":            {"https://127.0.0.1:3000/x", ""},
		"no scheme, other host":   {"//evil/x", ""},
		"user":                    {"http://127.0.0.1:3000@evil/x", ""},
		"user at the own origin":  {"http://a:b@127.0.0.1:3000/x", ""},
		"backslashes":             {`/\evil/x`, ""},
		"two slashes as the path": {"http://127.0.0.1:3000//evil/x", ""},
		"three slashes":           {"///evil/x", ""},
		"script":                  {"javascript:alert(1)", ""},
		"file":                    {"file:///etc/passwd", ""},
		"tab":                     {"/\t/evil", ""},
		"broken":                  {"http://%zz/", ""},
		"longer host":             {"http://127.0.0.1:3000.evil.com/x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, status := range []int{301, 302, 303, 307, 308} {
				g := newGateway(t, func(s *setup) { s.Origins = append(s.Origins, "http://app:80") })
				g.app.answers(answer(status, "", "Location", c.location, "X-Inngest-Sdk", "js"))
				r := g.ask(t, signedCall(t, callBody("run1")))
				if c.want == "" {
					if p := problemOf(t, r); r.StatusCode != 503 || p.Code != "upstream_redirect" || r.Header.Get("Location") != "" || r.Header.Get("Retry-After") == "" {
						t.Errorf("%d to %s: answer = %d %v %+v", status, c.location, r.StatusCode, r.Header, p)
					}
					continue
				}
				if r.StatusCode != status || r.Header.Get("Location") != c.want {
					t.Errorf("%d to %s: answer = %d to %q, want %q", status, c.location, r.StatusCode, r.Header.Get("Location"), c.want)
				}
			}
		})
	}
}

func TestRedirect_withoutAPublicURLIsRelative(t *testing.T) {
	r, err := newRoute(Route{
		App: "shop", Path: "/api/inngest", UpstreamPath: "/inner", OutageBudget: 1, Origins: []string{"http://127.0.0.1:3000"},
		Pair: &pairDouble{}, Callee: &appDouble{}, Syncer: &syncDouble{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{
		"http://127.0.0.1:3000/inner?x=1": "/api/inngest?x=1",
		"http://127.0.0.1:3000":           "/",
	} {
		if got, ok := r.leadBack(location); !ok || got != want {
			t.Errorf("leadBack(%s) = %q, %v, want %q", location, got, ok, want)
		}
	}
}

func TestRedirect_twoLocationsAreRefused(t *testing.T) {
	g := newGateway(t, nil)
	g.app.answers(answer(302, "", "Location", "/a", "location", "http://evil/", "X-Inngest-Sdk", "js"))
	if r := g.ask(t, signedCall(t, callBody("run1"))); r.Header.Get("X-Gateway-Error") != "upstream_redirect" {
		t.Errorf("answer = %d %v", r.StatusCode, r.Header)
	}
}

func TestRedirect_otherStatusesKeepTheirLocation(t *testing.T) {
	for _, a := range []*call.Answer{
		answer(201, "", "Location", "http://evil/", "X-Inngest-Sdk", "js"),
		answer(304, "", "Location", "http://evil/", "X-Inngest-Sdk", "js"),
	} {
		g := newGateway(t, nil)
		g.app.answers(a)
		if r := g.ask(t, signedCall(t, callBody("run1"))); r.StatusCode != a.Status || r.Header.Get("Location") != "http://evil/" {
			t.Errorf("%d: answer = %d %v", a.Status, r.StatusCode, r.Header)
		}
	}
}
