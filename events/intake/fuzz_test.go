package intake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func newReader(tb testing.TB) *intake.Reader {
	tb.Helper()
	r, err := intake.New(intake.ServerLimits(8 << 20))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// unusual are bodies that two JSON readers might see in two ways.
var unusual = []string{
	``, ` `, `[]`, `[`, `[ }`, `{}`, `null`, `[null]`, `[1]`, `"x"`, "\ufeff{}",
	`{"name":"a"}`, `{"name":"a"} `, `{"name":"a"}x`, `{"name":"a"},`, `{"name":"a"}]`,
	`[{"name":"a"}`, `[{"name":"a"},`, `[{"name":"a"},]`, `[{"name":"a"}}`, `[{"name":"a"}{"name":"b"}]`, `[,{"name":"a"}]`,
	`[{"name":"a"}]garbage`, `[{"name":"a"} garbage`, `[{"name":"a"},{"name":"b"}]`,
	`{"NAME":"a"}`, `{"Name":"a","name":"b"}`, `{"name":"b","nAmE":"a"}`, `{"n\u0061me":"a"}`, `{"name":"a","name":null}`, `{"name":null}`,
	`{"name":"a","name":3}`, `{"name":3,"name":"a"}`, `{"name":"a","tſ":1}`, `{"name":"a","t\u017f":1}`, `{"name":"a","uſer":1}`,
	`{"name":"a","id":1}`, `{"name":"a","id":null}`, `{"name":"a","ID":"x","Id":"y"}`, `{"name":"a","v":1}`, `{"name":"a","V":"1"}`,
	`{"name":"\ud800"}`, `{"name":"\ud83d\ude00"}`, `{"name":"\ud83d\u0061"}`, `{"name":"\udc00\ud800\udc00"}`, "{\"name\":\"\xff\"}", "{\"name\":\"a\xc3\"}",
	`{"name":"a\u0000\/\b\f\n\r\t\"\\"}`, "{\"name\":\"a\x01\"}", `{"name":"\x"}`, `{"name":"\u12g4"}`,
	`{"name":"inngest/x"}`, `{"name":"INNGEST/x"}`, `{"name":"İnngest/x"}`, `{"name":"\u0130nngest/x"}`, `{"name":"\u0069nngest/x"}`, `{"name":"inngest\/x"}`,
	`{"name":"inngest"}`, `{"name":"inngeſt/x"}`, `{"name":"inngest/x","name":"a"}`, "{\"name\":\"inn\xffgest/\"}",
	`{"name":"a","ts":0}`, `{"name":"a","ts":-0}`, `{"name":"a","ts":null}`, `{"name":"a","ts":"1"}`, `{"name":"a","ts":1.0}`, `{"name":"a","ts":1e12}`,
	`{"name":"a","ts":315532800000}`, `{"name":"a","ts":315532799999}`, `{"name":"a","ts":4102444800000}`, `{"name":"a","ts":4102444800001}`,
	`{"name":"a","ts":9223372036854775807}`, `{"name":"a","ts":9223372036854775808}`, `{"name":"a","ts":-9223372036854775808}`, `{"name":"a","ts":-9223372036854775809}`,
	`{"name":"a","ts":18448539609709}`, `{"name":"a","ts":1795492367886000}`, `{"name":"a","ts":01}`, `{"name":"a","ts":1,"ts":1795492367886}`,
	`{"name":"a","data":[]}`, `{"name":"a","data":null}`, `{"name":"a","data":"x"}`, `{"name":"a","data":{"a":1},"data":{"b":2}}`, `{"name":"a","data":{},"DATA":1}`,
	`{"name":"a","data":{"x":1e400}}`, `{"name":"a","data":{"x":[-1e400]}}`, `{"name":"a","data":{"x":1e-400}}`, `{"name":"a","x":1e400}`, `{"name":"a","user":{"x":1e400}}`,
	`{"name":"a","data":{"x":1` + strings.Repeat("0", 308) + `}}`, `{"name":"a","data":{"x":1` + strings.Repeat("0", 309) + `}}`, `{"name":"a","data":{"x":0.` + strings.Repeat("0", 400) + `}}`,
	`{"name":"a","data":{"x":tru}}`, `{"name":"a","data":{"x":1.}}`, `{"name":"a","data":{"x":-}}`, `{"name":"a","data":{"x":1e}}`, `{"name":"a","data":{"x":.5}}`, `{"name":"a","data":{"x":+1}}`,
	`{"name":"a","data":{"x":1,}}`, `{"name":"a","data":{"x"}}`, `{"name":"a","data":{x:1}}`, `{"name":"a","data":{"x":1]}`, `{"name":"a","data":{"x":[1}}}`,
	`{"name":"a","user":[]}`, `{"name":"a","user":null}`, `{"name":"a","user":{"a":1}}`,
	`{"name":"a","meta":null}`, `{"name":"a","meta":1}`, `{"name":"a","meta":{}}`, `{"name":"a","meta":{"x":1e400}}`,
	`{"name":"a","meta":{"sessions":null}}`, `{"name":"a","meta":{"sessions":[]}}`, `{"name":"a","meta":{"sessions":{"a":"1","b":2,"c":null}}}`,
	`{"name":"a","meta":{"sessions":{"a":true}}}`, `{"name":"a","meta":{"sessions":{"":"1"}}}`, `{"name":"a","meta":{"sessions":{"a":""}}}`,
	`{"name":"a","meta":{"sessions":{"a":{}},"SESSIONS":{"a":"1"}}}`, `{"name":"a","meta":{"sessions":{"a":1},"ſeſſionſ":{"a":[]}}}`,
	`{"name":"a","meta":{"sessions":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}}}`, `{"name":"a","meta":{"sessions":{"a":1,"b":1,"c":1,"d":1,"e":1,"e":2}}}`,
	`{"name":"a","meta":{"sessions":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}},"meta":null}`, `{"name":"a","meta":3,"meta":{}}`,
	`{"name":"a","meta":{"sessions":{"a":"` + strings.Repeat("x", 512) + `"}}}`, `{"name":"a","meta":{"sessions":{"a":"` + strings.Repeat("x", 513) + `"}}}`,
	`{"name":"a","meta":{"sessions":{"` + strings.Repeat("é", 64) + `":"1"}}}`, `{"name":"a","meta":{"sessions":{"` + strings.Repeat("é", 65) + `":"1"}}}`,
	`{"name":"a","meta":{"sessions":{"` + strings.Repeat("\xff", 43) + `":"1"}}}`, `{"name":"a","meta":{"sessions":{"a":"` + strings.Repeat(`\u0061`, 512) + `"}}}`,
	`{"name":"a","meta":{"propagated_sessions":{"a":null}}}`, `{"name":"a","meta":{"propagated_sessions":{"a":true}}}`, `{"name":"a","meta":{"propagated_sessions":null}}`,
	`{"name":"a","meta":{"propagated_sessions":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":""}}}`, `{"name":"a","meta":{"propagated_sessions":{"f":1,"b":1,"c":1,"d":1,"e":1,"a":""}}}`,
	`{"name":"a","meta":{"sessions":{"a":null},"propagated_sessions":{"a":""}}}`, `{"name":"a","meta":{"sessions":null,"propagated_sessions":{"a":""}}}`,
	`{"name":"a","meta":{"sessions":{"a":1},"propagated_sessions":{"a":""}}}`, `{"name":"a","meta":{"sessions":{},"propagated_sessions":{"":"x"}}}`,
	`{"name":"a","meta":{"propagated_sessions":1,"propagated_sessions":{}}}`, `{"name":"a","meta":{"propagated_sessions":{},"propagated_sessions":[]}}`,
	`{"name":"a"` + "\x00" + `}`, "{\"name\":\t\"a\"\r\n}", "{\"name\":\v\"a\"}", `{"name":"a",}`, `{"name" "a"}`, `{,"name":"a"}`, `{"name":"a" "id":"b"}`, `{"name":"a"`,
}

// deep are bodies that nest as deep as encoding/json allows, and deeper. A fuzzer
// would spend its time on making them shorter.
var deep = []string{
	`{"name":"a","x":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`, `{"name":"a","x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
	`[{"name":"a","x":` + strings.Repeat(`{"":`, 9_999) + `1` + strings.Repeat("}", 9_999) + `}]`,
}

// FuzzRead compares with the server's decoder: the same verdict, and the same
// names, ids, versions, timestamps, data and bytes of every event.
func FuzzRead(f *testing.F) {
	for _, x := range recorded.Load(f) {
		if strings.HasPrefix(x.Request.Target, "/e/") {
			f.Add(x.Request.Body)
		}
	}
	for _, body := range unusual {
		f.Add([]byte(body))
	}
	r := newReader(f)
	f.Fuzz(func(t *testing.T, body []byte) { compare(t, r, body) })
}

func TestRead_agreesWithTheServersDecoder(t *testing.T) {
	r := newReader(t)
	for _, body := range append(deep, unusual...) {
		compare(t, r, []byte(body))
	}
}

// Byte by byte a fuzzer seldom finds two members that act on each other.
func TestRead_agreesOnRandomMembers(t *testing.T) {
	names := []string{
		"name", "NAME", `n\u0061me`, "id", "Id", "ts", "TS", "tſ", "v", "data", "DATA", "user", "meta", "Meta", "other",
		"sessions", "propagated_sessions", "ſessions", "a", "b", "c", "", `\ud800`, "\xff", "_inngest",
	}
	scalars := []string{
		`"a"`, `"inngest/a"`, `""`, `"\u00e9"`, `"\ud83d\ude00"`, "\"\xff\"", "null", "true", "0", "1795492367886", "1", "-0",
		"1e3", "1.5", "1e400", "9007199254740993", "[]", "[1]", `{}`, `{"a":1}`, `{"b":null}`,
	}
	rnd := rand.New(rand.NewPCG(8, 0))
	pick := func(from []string) string { return from[rnd.IntN(len(from))] }
	var object func(depth int) string
	object = func(depth int) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range rnd.IntN(7) {
			if i > 0 {
				b.WriteString(pick([]string{",", ",", " , ", ",\n"}))
			}
			b.WriteString(`"` + pick(names) + `":`)
			if depth > 0 && rnd.IntN(2) == 0 {
				b.WriteString(object(depth - 1))
			} else {
				b.WriteString(pick(scalars))
			}
		}
		return b.String() + "}"
	}
	r := newReader(t)
	for range 50_000 {
		body := `{"name":"a",` + object(2)[1:]
		if rnd.IntN(3) == 0 {
			body = "[" + body + pick([]string{"", ",", " , "}) + object(2) + pick([]string{"]", "", "}", "] "})
		}
		compare(t, r, []byte(strings.Replace(body, ",}", "}", 1)))
	}
}

func compare(t *testing.T, r *intake.Reader, body []byte) {
	t.Helper()
	before := bytes.Clone(body)
	got, err := r.Read("application/json", body)
	want, wantErr := serverReads(body)
	if !bytes.Equal(body, before) {
		t.Fatalf("Read(%.200q) changed the body", before)
	}
	if err != nil {
		checkError(t, body, err)
	}
	if (err == nil) != (wantErr == nil) {
		if differs(body, got, err) {
			return
		}
		t.Fatalf("Read(%.200q) = %d events, %v; the server: %d events, %v", body, len(got), err, len(want), wantErr)
	}
	if err != nil {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("Read(%.200q) = %d events, the server has %d", body, len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if string(g.Name) != w.Name || string(g.ID) != w.ID || string(g.V) != w.V || g.TS != w.TS {
			t.Fatalf("Read(%.200q)[%d] = %q %q %q %d, want %q %q %q %d", body, i, g.Name, g.ID, g.V, g.TS, w.Name, w.ID, w.V, w.TS)
		}
		if !bytes.Equal(g.Raw, bytes.TrimRight(w.raw, " \t\r\n")) {
			t.Fatalf("Read(%.200q)[%d].Raw = %.200q, want %.200q", body, i, g.Raw, w.raw)
		}
		var data map[string]any
		if g.Data != nil {
			if err := json.Unmarshal(g.Data, &data); err != nil {
				t.Fatalf("Read(%.200q)[%d].Data: %v", body, i, err)
			}
		}
		if (g.Data == nil) != (w.Data == nil) || !cmp.Equal(data, w.Data) {
			t.Fatalf("Read(%.200q)[%d].Data = %.200q, want %v", body, i, g.Data, w.Data)
		}
	}
}

// differs tells whether the verdict may differ from the server's, as doc.go
// says: several objects one after the other are taken, long names are not.
func differs(body []byte, got []intake.Event, err error) bool {
	var e *intake.Error
	if errors.As(err, &e) {
		return e.Rule == intake.RuleNameLength
	}
	if body = bytes.TrimLeft(body, " \t\r\n"); len(got) < 2 || body[0] != '{' {
		return false
	}
	for _, g := range got {
		if events, err := serverReads(g.Raw); err != nil || len(events) != 1 {
			return false
		}
	}
	return true
}

// checkError checks what every error must have.
func checkError(t *testing.T, body []byte, err error) {
	t.Helper()
	var e *intake.Error
	if !errors.As(err, &e) {
		t.Fatalf("Read(%.200q): %v is no *intake.Error", body, err)
	}
	known := false
	for _, rule := range intake.Rules() {
		known = known || rule == e.Rule
	}
	if !known || e.Status < 400 || e.Status > 499 || e.Message == "" || e.Index < -1 || len(e.Message) > 400 {
		t.Fatalf("Read(%.200q): incomplete error %#v", body, e)
	}
}
