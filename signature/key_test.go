package signature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestParseKey_takesThePrefixOff(t *testing.T) {
	const text = "1234567890abcdef1234567890abcdef"
	const hash = "c512d92e3545b2f1222e4b4c6af6d330ec3002a04bcaa41df9cc2c49628496d6"
	for name, c := range map[string]struct{ key, bearer, masked string }{
		"production":            {"signkey-prod-" + text, "signkey-prod-" + hash, "signkey-prod-***"},
		"branch":                {"signkey-branch-" + text, "signkey-branch-" + hash, "signkey-branch-***"},
		"env with an underline": {"signkey-my_env2-" + text, "signkey-my_env2-" + hash, "signkey-my_env2-***"},
		"no prefix":             {text, hash, "***"},
	} {
		t.Run(name, func(t *testing.T) {
			k := mustKey(t, c.key)
			if got := BearerToken(k); got != c.bearer {
				t.Errorf("BearerToken = %s, want %s", got, c.bearer)
			}
			if got := k.String(); got != c.masked {
				t.Errorf("String = %s, want %s", got, c.masked)
			}
			if !k.Equal(mustKey(t, text)) {
				t.Error("Equal tells the key from its bare text")
			}
		})
	}
}

func TestParseKey_refusesWhatIsNoHexWithoutShowingIt(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                     "",
		"white space":                 " ",
		"line feed of a file":         "signkey-prod-c0ffee00\n",
		"space before":                " c0ffee00",
		"prefix alone":                "signkey-prod-",
		"no hex":                      "signkey-prod-c0ffeeXY",
		"odd number of digits":        "signkey-prod-c0ffee0",
		"prefix without an env":       "signkey--c0ffee00",
		"env of two words":            "signkey-my-env-c0ffee00",
		"event key in its place":      "c0ffee-event-key",
		"already the bearer's prefix": "Bearer signkey-prod-c0ffee00",
		"prefix twice":                "signkey-prod-signkey-prod-c0ffee00",
		"quotes of a .env file":       `"c0ffee00"`,
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseKey(text)
			if err == nil || !k.IsZero() {
				t.Fatalf("ParseKey(%q) = %v, %v, want an error", text, k, err)
			}
			if strings.Contains(err.Error(), "c0ffee") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestKey_isMaskedWhereverItIsPrinted(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	holder := struct {
		Name string
		Key  Key
		Ring Keyring
	}{"n", key, Keyring{key, []Key{key}}}
	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		fmt.Fprintf(&printed, verb+" "+verb+"\n", key, holder)
	}
	fmt.Fprintln(&printed, key, &holder, []Key{key})
	for _, h := range []slog.Handler{slog.NewTextHandler(&printed, nil), slog.NewJSONHandler(&printed, nil)} {
		slog.New(h).Info("key", "key", key, "holder", holder)
	}
	if err := json.NewEncoder(&printed).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"1234567890", "12345678", fmt.Sprintf("%x", "1234567890"), "18, 52, 86", "18 52 86", "123456"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%q shows in what was printed:\n%s", secret, printed.String())
		}
	}
}

func TestKeyring_leavesOutWhatIsNotSet(t *testing.T) {
	a, b := mustKey(t, recorded.SigningKey), mustKey(t, otherKey)
	for name, c := range map[string]struct {
		ring Keyring
		want []Key
	}{
		"nothing":             {Keyring{}, nil},
		"current alone":       {Keyring{Current: a}, []Key{a}},
		"no fallback":         {Keyring{a, []Key{{}}}, []Key{a}},
		"fallback":            {Keyring{a, []Key{b}}, []Key{a, b}},
		"others without one ": {Keyring{Others: []Key{b, a}}, []Key{b, a}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.ring.All()
			if len(got) != len(c.want) {
				t.Fatalf("All returned %d keys, want %d", len(got), len(c.want))
			}
			for i := range got {
				if !got[i].Equal(c.want[i]) {
					t.Errorf("key %d is another one", i)
				}
			}
		})
	}
}

func TestKey_zeroIsNoKey(t *testing.T) {
	var zero Key
	if !zero.IsZero() || zero.String() != "none" || BearerToken(zero) != "" {
		t.Errorf("zero key: IsZero %v, String %q, BearerToken %q", zero.IsZero(), zero, BearerToken(zero))
	}
	if zero.Equal(mustKey(t, otherKey)) || !zero.Equal(Key{}) {
		t.Error("zero key equals another key, or not itself")
	}
}
