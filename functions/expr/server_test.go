package expr

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheckServer_takesWhatTheServerTakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // in the error; empty: none
	}{
		"compares":                   {`async.data.id == event.data.id`, ""},
		"compares types that differ": {`event.data.n == "1" || 1 == "1"`, ""},
		"adds a text and a number":   {`"n" + 1 == event.data.n`, ""},
		"calls the server's own":     {`lowercase(event.name) == "a" && date(event.ts) > now_minus("1h")`, ""},
		"uses macros":                {`has(event.data.x) && event.data.list.exists(i, i == 1)`, ""},
		"misspells a variable":       {`evnt.data.id == 1`, "undeclared reference to 'evnt'"},
		"calls what is ours alone":   {`chunks(event.data.x, 2)`, "undeclared reference to 'chunks'"},
		"ends too early":             {`event.data.id ==`, "end of the expression"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckServer(c.text, "event", "async")
			var syntax *SyntaxError
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("CheckServer(%s) = %v, want %q", c.text, err, c.want)
			}
		})
	}
}

func TestServer_wantsTheKind(t *testing.T) {
	s, err := NewServer("event")
	if err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]map[Kind]bool{
		`event.data.x`:      {Any: true, Condition: true, Number: true},
		`event.data.x == 1`: {Any: true, Condition: true, Number: false},
		`120`:               {Any: true, Condition: false, Number: true},
		`"a"`:               {Any: true, Condition: false, Number: false},
	} {
		for kind, want := range fits {
			if err := s.Check(text, kind); (err == nil) != want {
				t.Errorf("Check(%s, %s) = %v, want fits %v", text, kind, err, want)
			}
		}
	}
}

func TestServerExpr_writesValuesAsLiterals(t *testing.T) {
	s, err := NewServer("event", "async")
	if err != nil {
		t.Fatal(err)
	}
	vars := newVars().With("item", Raw(json.RawMessage(`"a\" || true || \"\n$${"`)))
	for text, want := range map[string]string{
		`async.data.id == event.data.id`:                                 `async.data.id == event.data.id`,
		`async.data.id == ${item}`:                                       `async.data.id == "a\" || true || \"\n$${"`,
		`async.data.n > ${steps.stock.rate}`:                             `async.data.n > 1.5`,
		`async.data.x in ${steps.pay.list} || ${!steps.stock.available}`: `async.data.x in [3,1,2] || true`,
	} {
		x, err := newEnv(t).ServerExpr(text, s)
		if err != nil {
			t.Errorf("ServerExpr(%s) = %v", text, err)
			continue
		}
		got, err := x.Text(t.Context(), vars, 1<<10)
		if err != nil || got != want {
			t.Errorf("%s = %s, %v, want %s", text, got, err, want)
		}
		if err := s.Check(got, Condition); err != nil {
			t.Errorf("the server would refuse %s: %v", got, err)
		}
	}
	for _, text := range []string{`async.data.id == ${steps.`, `asnyc.data == ${item}`, `async.data.id == ${nope}`, `"a"`} {
		var syntax *SyntaxError
		if _, err := newEnv(t).ServerExpr(text, s); !errors.As(err, &syntax) {
			t.Errorf("ServerExpr(%s) = %v, want a SyntaxError", text, err)
		}
	}
}

// As the server 1.43 answers to a cancelOn with each.
func TestServer_matchesEventsByComparing(t *testing.T) {
	s, err := NewServer("event", "async")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`async.data.x == event.data.x && !async.data.y || async.ts > event.ts`: "",
		`async.data.x in event.data.l`:                                         "",
		`async.data.l[0] == event.data["a-b"]`:                                 "",
		`async.data.x ? int(async.data.n) == -5 : double(event.data.n) == 1.5`: "",
		`async.data.id in [1, 2]`:                                              "",
		`async.data.x == 1 && async.data.y.startsWith("a")`:                    "uses startsWith",
		`has(async.data.x)`:                                                    "uses has",
		`event.data.l.exists(y, y == async.data.x)`:                            "uses a macro",
		`async.data.x + 1 == event.data.x`:                                     "uses +",
		`size(async.data.l) > 1`:                                               "uses size",
		`lowercase(async.data.a) == "x"`:                                       "uses lowercase",
		`async.data.x == -event.data.x`:                                        "uses -",
	} {
		err := s.Check(text, Match)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Check(%s) = %v, want %q", text, err, want)
		}
	}
	if err := s.Check(`size(event.data.l) > 1`, Condition); err != nil {
		t.Errorf("a trigger's condition: %v", err)
	}
}
