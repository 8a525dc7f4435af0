package apps

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRewriteURLs_changesWhatLeadsToTheApp(t *testing.T) {
	base := mustURL(t, "https://gw.example.com/shop/in%2Fngest")
	for name, c := range map[string]struct{ body, want string }{
		"the url": {
			`{"url":"http://10.0.0.7:3000/api/inngest"}`,
			`{"url":"https://gw.example.com/shop/in%2Fngest"}`,
		},
		"the url of each step, with its query": {
			`{"functions":[{"steps":{"step":{"runtime":{"url":"http://a/b?fnId=x&step=step"}},"two":{"runtime":{"url":"HTTPS://a?x=%20"}}}}]}`,
			`{"functions":[{"steps":{"step":{"runtime":{"url":"https://gw.example.com/shop/in%2Fngest?fnId=x&step=step"}},"two":{"runtime":{"url":"https://gw.example.com/shop/in%2Fngest?x=%20"}}}}]}`,
		},
		"an escaped query": {
			`{"functions":[{"steps":{"step":{"runtime":{"url":"http:\/\/a/b?fnId=x\u0026step=step"}}}}]}`,
			`{"functions":[{"steps":{"step":{"runtime":{"url":"https://gw.example.com/shop/in%2Fngest?fnId=x&step=step"}}}}]}`,
		},
		"names in any letter case, and twice": {
			`{"URL":"http://a","url":"http://b","Functions":[{"STEPS":{"s":{"Runtime":{"Url":"http://c?q"}}}}]}`,
			`{"URL":"https://gw.example.com/shop/in%2Fngest","url":"https://gw.example.com/shop/in%2Fngest","Functions":[{"STEPS":{"s":{"Runtime":{"Url":"https://gw.example.com/shop/in%2Fngest?q"}}}}]}`,
		},
		"a URL that no parser takes": {
			`{"url":"http://a b:x/%zz?fnId=1"}`,
			`{"url":"https://gw.example.com/shop/in%2Fngest?fnId=1"}`,
		},
		"nothing else": {
			`{ "n" : 9007199254740993, "f":1.0e+2, "inspection":{"url":"http://a"}, "functions":[ 1, {"url":"http://a"}, {"steps":[]}, {"steps":{"s":{"runtime":null}}} ], "url":"http://a" }`,
			`{ "n" : 9007199254740993, "f":1.0e+2, "inspection":{"url":"http://a"}, "functions":[ 1, {"url":"http://a"}, {"steps":[]}, {"steps":{"s":{"runtime":null}}} ], "url":"https://gw.example.com/shop/in%2Fngest" }`,
		},
		"no WebSocket and no number": {
			`{"url":1,"functions":[{"steps":{"s":{"runtime":{"url":"wss://connect?fnId=x"}}}}]}`,
			`{"url":1,"functions":[{"steps":{"s":{"runtime":{"url":"wss://connect?fnId=x"}}}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rewriteURLs([]byte(c.body), base)
			if err != nil || string(got) != c.want {
				t.Errorf("rewriteURLs = %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestRewriteURLs_refusesWhatIsNoObject(t *testing.T) {
	for _, body := range []string{"", "null", "[]", `"url"`, `{"url":`, `{} {}`} {
		if got, err := rewriteURLs([]byte(body), mustURL(t, "https://gw")); err == nil {
			t.Errorf("rewriteURLs(%q) = %q, want an error", body, got)
		}
	}
}

func TestRewriteURLs_leavesARegistrationOfOurOwnAsItIs(t *testing.T) {
	body := recording(t, 34).Response.Body // Go writes & as \u0026
	got, err := rewriteURLs(body, mustURL(t, "http://127.0.0.1:3103/api/inngest"))
	if err != nil || &got[0] != &body[0] {
		t.Errorf("rewriteURLs made another text of one that had nothing to change (%v)", err)
	}
}

// FuzzRewriteURLs: every value but the rewritten URLs is there afterwards, the
// numbers in their own spelling, and a second pass changes nothing.
func FuzzRewriteURLs(f *testing.F) {
	for _, n := range []int{1, 25, 31, 37, 39} {
		f.Add(recording(f, n).Request.Body)
	}
	for _, n := range []int{26, 32, 34} {
		f.Add(recording(f, n).Response.Body)
	}
	f.Add([]byte(`{"url":"http://x?\ud83d\ude00\ud800","functions":[{"steps":{"a":{"runtime":{"url":"https://\"\\?#"}}}}],"n":[1e400,-0,0.10]}`))
	base := mustURL(f, "https://gw.example.com/api/inngest")
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := rewriteURLs(body, base)
		if err != nil {
			return
		}
		if want, have := plain(t, body), plain(t, got); !cmp.Equal(want, have) {
			t.Errorf("rewriteURLs(%q) = %q: %s", body, got, cmp.Diff(want, have))
		}
		again, err := rewriteURLs(got, base)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("a second pass made %q of %q (%v)", again, got, err)
		}
	})
}

// plain decodes a text and puts one word in the place of every URL that a
// rewriting may change, and keeps the query.
func plain(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	top, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%q is no object", text)
	}
	blank(top, "url")
	for name, list := range top {
		if functions, ok := list.([]any); ok && strings.EqualFold(name, "functions") {
			for _, function := range functions {
				inside(function, "steps", func(steps any) {
					all, _ := steps.(map[string]any)
					for _, step := range all {
						inside(step, "runtime", func(runtime any) { blank(runtime, "url") })
					}
				})
			}
		}
	}
	return v
}

func inside(v any, name string, do func(any)) {
	object, _ := v.(map[string]any)
	for key, value := range object {
		if strings.EqualFold(key, name) {
			do(value)
		}
	}
}

func blank(v any, name string) {
	object, _ := v.(map[string]any)
	for key, value := range object {
		if u, ok := value.(string); ok && strings.EqualFold(key, name) && isHTTP(u) {
			_, query, _ := strings.Cut(strings.Replace(u, "#", "?#", 1), "?")
			object[key] = "URL " + query
		}
	}
}
