package signature

import (
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestAppendSign_appends(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	body := []byte(`{}`)
	got := string(AppendSign([]byte("X-Inngest-Signature: "), key, body, at))
	if want := "X-Inngest-Signature: " + Sign(key, body, at); got != want {
		t.Errorf("AppendSign = %q, want %q", got, want)
	}
}

func TestSign_cutsTheTimeToSeconds(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	if got, want := Sign(key, nil, at.Add(999*time.Millisecond)), Sign(key, nil, at); got != want {
		t.Errorf("Sign = %q, want %q", got, want)
	}
}

func TestCanonical_writesOneSpelling(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"members sorted, no space": {" { \"b\" : 1 , \"a\" : [ 2 , null ] }\n", `{"a":[2,null],"b":1}`},
		"names by UTF-16":          {`{"\ufb33":1,"\ud83d\ude00":2}`, "{\"\U0001f600\":2,\"\ufb33\":1}"},
		"strings":                  {`"\u0041\/\u000a\u001f\u007f\u2028<>&é"`, "\"A/\\n\\u001f\u007f\u2028<>&é\""},
		"numbers":                  {`[1.0,-0,1e21,1e-7,0.1e1,9007199254740993]`, `[1,0,1e+21,1e-7,1,9007199254740992]`},
		"a bare value":             {` true `, `true`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Canonical([]byte(c.body))
			if err != nil || string(got) != c.want {
				t.Errorf("Canonical(%s) = %s, %v, want %s", c.body, got, err, c.want)
			}
		})
	}
}

func TestCanonical_refusesWhatHasNoOneForm(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                "",
		"a name twice":           `{"a":1,"a":1}`,
		"a name twice, escaped":  `{"a":1,"\u0061":1}`,
		"lone surrogate":         `"\ud800"`,
		"invalid UTF-8":          "\"\xff\"",
		"number beyond float64":  `1e400`,
		"two values":             `1 2`,
		"cut":                    `{"a":`,
		"nested a million times": strings.Repeat("[", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Canonical([]byte(body)); err == nil {
				t.Errorf("Canonical = %q, want an error", got)
			}
		})
	}
	if got, err := Canonical(nil); err == nil {
		t.Errorf("Canonical(nil) = %q, want an error", got)
	}
}
