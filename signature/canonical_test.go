package signature

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

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

// jsonText draws a JSON text with members in any order and strings and numbers
// in any spelling.
func jsonText(t *rapid.T, depth int) string {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
	case 2:
		return stringText(t)
	case 3:
		return " [ ] "
	case 4:
		items := make([]string, rapid.IntRange(0, 4).Draw(t, "items"))
		for i := range items {
			items[i] = jsonText(t, depth-1)
		}
		return "[" + strings.Join(items, " ,") + "]"
	default:
		members := make([]string, rapid.IntRange(0, 5).Draw(t, "members"))
		for i := range members {
			members[i] = stringText(t) + ": " + jsonText(t, depth-1)
		}
		return "{\n" + strings.Join(members, ",") + "}"
	}
}

// stringText draws a short string of the characters that are special to a
// canonical form, so that names often begin alike or are the same.
func stringText(t *rapid.T) string {
	return `"` + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", "A", "é", "\u20ac", "\ufb33", "\U0001f600", "\ue000", "\ud7ff", "\u007f", "\u2028",
		`\"`, `\\`, `\/`, `\n`, `\t`, `\u0000`, `\u001F`, `\u0061`, `\u00e9`, `\ud83d\ude00`, `\ufb33`,
	}), 0, 3).Draw(t, "string"), "") + `"`
}

func TestCanonical_agreesWithAnotherLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(jsonText(t, 5))
		want, wantErr := jcs.Transform(body)
		got, err := Canonical(body)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("Canonical(%s)\n= %s, %v, want\n%s, %v", body, got, err, want, wantErr)
		}
	})
}

func TestCanonical_writesEveryNumberAsAnotherLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		f := math.Float64frombits(random.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		want, err := jcs.NumberToJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Canonical([]byte(strconv.FormatFloat(f, 'g', -1, 64))); err != nil || string(got) != want {
			t.Fatalf("Canonical(%g) = %s, %v, want %s", f, got, err, want)
		}
	}
}

// Objects out of order, each inside the other: copying every one of them as
// often as it is nested would take minutes.
func TestCanonical_sortsDeeplyNestedObjects(t *testing.T) {
	const depth = maxNesting - 1
	body := strings.Repeat(`{"b":`, depth) + `{"d":1,"c":2}` + strings.Repeat(`,"a":0}`, depth)
	got, err := Canonical([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat(`{"a":0,"b":`, depth) + `{"c":2,"d":1}` + strings.Repeat(`}`, depth)
	if string(got) != want {
		t.Errorf("Canonical of %d objects in one another is not sorted", depth)
	}
	if _, err := Canonical([]byte(`[` + body + `]`)); err == nil {
		t.Error("one level more than the bound was taken")
	}
}

func TestCanonical_sharesNoMemoryWithItsArgument(t *testing.T) {
	body := []byte(`{"a":1}`)
	got, err := Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if !json.Valid(got) || string(got) != `{"a":1}` {
		t.Errorf("Canonical changed with its argument: %q", got)
	}
}
