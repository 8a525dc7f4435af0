package intake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// answer is what this package makes of a request with the right key. Without a
// seed the ids are the server's to choose: they are taken from the recording.
func answer(t *testing.T, r *intake.Reader, x recorded.Exchange) (status int, body string) {
	t.Helper()
	events, err := r.Read(x.Request.Get("Content-Type"), x.Request.Body)
	var e *intake.Error
	if errors.As(err, &e) {
		return e.Status, string(intake.AppendRefused(nil, e.Status, e.Error()))
	}
	var theirs inngest.EventResult
	if err := json.Unmarshal(x.Response.Body, &theirs); err != nil {
		t.Fatalf("%s: %v", x.Name, err)
	}
	seed, unseeded := inngest.ParseSeed(x.Request.Get("X-Inngest-Event-Id-Seed"))
	var ids []string
	for i := range events {
		switch {
		case unseeded == nil:
			ids = append(ids, seed.ID(i+1))
		case i < len(theirs.IDs):
			ids = append(ids, theirs.IDs[i])
		default:
			ids = append(ids, "")
		}
	}
	return 200, string(intake.AppendAccepted(nil, ids))
}

// deviations are the recorded answers that are not given. Nothing of a refused
// request is accepted, so there are no ids; newline-delimited JSON is taken; and
// the words of the server's decoder, which are about Go's types, are replaced.
// What is only longer by where and by which rule is none.
var deviations = map[int]struct {
	why    string
	status int
	body   string
}{
	112: {"clearer words", 400, `{"ids":[""],"status":400,"error":"data must be an object, not an array (event 0, field data, rule type)"}`},
	115: {"refused whole, clearer words", 400, `{"ids":[""],"status":400,"error":"data must be an object, not a number (event 1, field data, rule type)"}`},
	116: {"newline-delimited JSON is taken", 200, `{"ids":["",""],"status":200}`},
}

func TestRead_answersAsRecorded(t *testing.T) {
	r := newReader(t)
	seen := 0
	for _, x := range recorded.Load(t) {
		if !strings.HasPrefix(x.Request.Target, "/e/") || x.Number == 121 { // the key is checked elsewhere
			continue
		}
		seen++
		wantStatus, want := x.Response.Status, string(x.Response.Body)
		if d, ok := deviations[x.Number]; ok {
			wantStatus, want = d.status, d.body+"\n"
		}
		status, got := answer(t, r, x)
		if wantStatus == 400 && !strings.Contains(want, " rule ") {
			got = withoutPlace(t, got)
		}
		if status != wantStatus || got != want {
			t.Errorf("%s: answered %d %s, want %d %s", x.Name, status, got, wantStatus, want)
		}
	}
	if seen < 15 {
		t.Errorf("compared %d recordings, want the 15 events of the collection and more", seen)
	}
}

// withoutPlace takes from an answer what it says beyond the server's words.
func withoutPlace(t *testing.T, answer string) string {
	t.Helper()
	for _, added := range []string{"; a form is no event, send JSON", " ("} {
		if before, _, ok := strings.Cut(answer, added); ok {
			return before + "\"}\n"
		}
	}
	t.Errorf("answer %s does not say where", answer)
	return answer
}

func TestAppendUnknownKey_answersAsRecorded(t *testing.T) {
	x := recorded.One(t, 121)
	got := string(intake.AppendUnknownKey(nil, x.Response.Status, "Event key not found"))
	if got != string(x.Response.Body) || x.Response.Get("Content-Type") != intake.UnknownType {
		t.Errorf("answer %s %s, recorded %s %s", intake.UnknownType, got, x.Response.Get("Content-Type"), x.Response.Body)
	}
	if x := recorded.One(t, 110); x.Response.Get("Content-Type") != intake.AnswerType {
		t.Errorf("AnswerType is %s, recorded %s", intake.AnswerType, x.Response.Get("Content-Type"))
	}
}

func TestAppend_writesStringsAsTheServerDoes(t *testing.T) {
	for _, text := range []string{"", "plain", `"<é>&` + "\u2028\x00\xff\\", "tab\t"} {
		want, err := json.Marshal(inngest.EventResult{IDs: []string{""}, Status: 400, Error: text + "!"})
		if err != nil {
			t.Fatal(err)
		}
		if got := intake.AppendRefused([]byte("x"), 400, text+"!"); string(got) != "x"+string(want)+"\n" {
			t.Errorf("AppendRefused(%q) = %s, want %s", text, got, want)
		}
		if want, err = json.Marshal(inngest.EventResult{IDs: []string{text, "b"}, Status: 200}); err != nil {
			t.Fatal(err)
		}
		if got := intake.AppendAccepted(nil, []string{text, "b"}); string(got) != string(want)+"\n" {
			t.Errorf("AppendAccepted(%q) = %s, want %s", text, got, want)
		}
	}
}

// fields are an event's parts as text.
type fields struct {
	Raw, Name, ID, V, Data string
	TS                     int64
}

func read(t *testing.T, contentType, body string) []fields {
	t.Helper()
	events, err := newReader(t).Read(contentType, []byte(body))
	if err != nil {
		t.Fatalf("Read(%q, %.200q): %v", contentType, body, err)
	}
	return texts(events)
}

func texts(events []intake.Event) []fields {
	var all []fields
	for _, e := range events {
		all = append(all, fields{string(e.Raw), string(e.Name), string(e.ID), string(e.V), string(e.Data), e.TS})
	}
	return all
}

func TestRead_findsWhatTheGatewayNeeds(t *testing.T) {
	x := recorded.One(t, 110)
	body := string(x.Request.Body)
	_, data, _ := strings.Cut(body, `"data":`)
	data, _, _ = strings.Cut(data, `,"user"`)
	want := []fields{{Raw: body, Name: "t/undef", ID: "own-77", V: "2026-1", Data: data, TS: 1795500000123}}
	if diff := cmp.Diff(want, read(t, "application/json", body)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRead_takesManyFormsOfABody(t *testing.T) {
	a, b := `{"name":"a"}`, `{"data":{"n":9007199254740993},"name":"b\u0021","NAME":null}`
	ab := []fields{{Raw: a, Name: "a"}, {Raw: b, Name: "b!", Data: `{"n":9007199254740993}`}}
	for name, c := range map[string]struct {
		contentType, body string
		want              []fields
	}{
		"nothing":                         {"application/json", "", nil},
		"white space":                     {"application/json", " \r\n\t", nil},
		"empty array":                     {"application/json", "[ ]", nil},
		"empty form":                      {"application/x-www-form-urlencoded", "", nil},
		"no line":                         {"application/x-ndjson", "\n\n", nil},
		"object":                          {"application/json", a, ab[:1]},
		"object as curl -d sends it":      {"application/x-www-form-urlencoded", a, ab[:1]},
		"object without a type":           {"", "\n" + a + "\n", ab[:1]},
		"array":                           {"application/json; charset=utf-8", "[" + a + "," + b + "]", ab},
		"array with white space":          {"text/plain", "\t[ " + a + "\n, " + b + " ]\n", ab},
		"array without an end":            {"application/json", "[" + a + "," + b, ab},
		"array with the wrong end":        {"application/json", "[" + a + "," + b + "}", ab},
		"bytes after an array":            {"application/json", "[" + a + "," + b + "]garbage", ab},
		"lines":                           {"application/x-ndjson", a + "\n" + b + "\n", ab},
		"lines, Windows":                  {"application/jsonl", a + "\r\n\r\n" + b, ab},
		"lines that say JSON":             {"application/json", a + "\n" + b, ab},
		"objects one after the other":     {"application/json", a + b, ab},
		"arrays on lines":                 {"Application/X-NDJSON", "[" + a + "]\n[" + b + "]\n", ab},
		"array that says lines":           {"application/x-ndjson", "[" + a + "," + b + "]", ab},
		"object over lines that say JSON": {"application/ndjson", "{\n\"name\":\"a\"}", []fields{{Raw: "{\n\"name\":\"a\"}", Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(t, c.contentType, c.body)); diff != "" {
				t.Errorf("Read(%q, %q) (-want +got):\n%s", c.contentType, c.body, diff)
			}
		})
	}
}

func TestRead_takesLargestOfEverything(t *testing.T) {
	largest := `{"name":"` + repeat("n", 512) + `","data":{"x":"`
	largest += repeat("x", 3<<20-len(largest)-3) + `"}}`
	if len(largest) != 3<<20 {
		t.Fatalf("the event has %d bytes", len(largest))
	}
	if got := read(t, "", largest); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
	if got := read(t, "", "["+repeat(`{"name":"a"},`, 4999)+`{"name":"b"}]`); len(got) != 5000 || got[4999].Name != "b" {
		t.Errorf("%d events, want 5000", len(got))
	}
	sessions := `{"name":"a","meta":{"sessions":{"a":"` + repeat("i", 512) + `","` + repeat("k", 128) + `":1,"c":2,"d":3,"e":4}}}`
	if got := read(t, "", sessions); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
}

// What one event's texts are appended to must not be what another's lie in.
func TestRead_keepsEventsApart(t *testing.T) {
	body := []byte(`[{"name":"a\/1","id":"x\/1","v":"p"},{"name":"a\/2","id":"x\/2"},{"name":"b","id":"c"}]`)
	before := bytes.Clone(body)
	events, err := newReader(t).Read("", body)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, text := range [][]byte{e.Raw, e.Name, e.ID, e.V} {
			_ = append(text, "overwritten"...)
		}
	}
	want := []fields{
		{Raw: `{"name":"a\/1","id":"x\/1","v":"p"}`, Name: "a/1", ID: "x/1", V: "p"},
		{Raw: `{"name":"a\/2","id":"x\/2"}`, Name: "a/2", ID: "x/2"},
		{Raw: `{"name":"b","id":"c"}`, Name: "b", ID: "c"},
	}
	if diff := cmp.Diff(want, texts(events)); diff != "" || !bytes.Equal(body, before) {
		t.Errorf("events (-want +got):\n%s\nbody: %s", diff, body)
	}
}
