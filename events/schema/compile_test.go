package schema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

func event(name, text string) schema.Source {
	return schema.Source{Name: name, From: name + ".json", Text: []byte(text), Mode: schema.ModeEnforce}
}

func shared(from, text string) schema.Source {
	return schema.Source{From: from, Text: []byte(text)}
}

func compile(tb testing.TB, sources ...schema.Source) *schema.Set {
	tb.Helper()
	set, err := schema.Compile(sources)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestCompile_reportsAllThatIsWrong(t *testing.T) {
	bad := event("bad.mode", `{}`)
	bad.Mode = "strict"
	set, err := schema.Compile([]schema.Source{
		event("ok", `{"type":"object"}`),
		event("cut", "{\n \"type\":\n"),
		event("number", `3`),
		event("two.faults", `{"type":"strin","properties":{"a":{"minimum":"1"},"b":{"required":true}}}`),
		event("bad.pattern", `{"properties":{"a":{"pattern":"a(?=b)"}}}`),
		event("stray", `{"$ref":"https://example.com/a.json","properties":{"a":{"$ref":"b.json#/x"},"b":{"$ref":"#/$defs/none"}}}`),
		event("no.def", `{"properties":{"b":{"$ref":"#/$defs/none"}}}`),
		event("no.anchor", `{"properties":{"b":{"$ref":"#none"}}}`),
		event("no.draft", `{"$schema":"https://example.com/draft-99/schema"}`),
		event("loop", `{"allOf":[{"$ref":"#"}]}`),
		event("ok", `{}`),
		bad,
		{Version: "2", From: "v.json", Text: []byte(`{}`)},
		event("uses.broken", `{"$ref":"broken.json"}`),
		shared("broken.json", `{"type":7}`),
		shared("./broken.json", `{}`),
		event("draft4", `{"$schema":"http://json-schema.org/draft-04/schema#","minimum":1,"exclusiveMinimum":2}`),
	})
	var problems schema.Problems
	if set != nil || !errors.As(err, &problems) {
		t.Fatalf("Compile = %v, %v, want Problems", set, err)
	}
	want := []string{
		`cut.json: is no JSON: `,
		`number.json: is no schema: want an object, true or false`,
		`two.faults.json at /properties/a/minimum: must be number, is string`,
		`two.faults.json at /properties/b/required: must be array, is boolean`,
		`two.faults.json at /type: must fit one of 2 alternatives`,
		`bad.pattern.json at /properties/a/pattern: must be of the format regex`,
		`stray.json: $ref "b.json#/x" leads to /b.json, which is not among the schemas`,
		`stray.json: $ref "https://example.com/a.json" leads to https://example.com/a.json, which is not among the schemas`,
		`no.def.json: `,
		`no.anchor.json: anchor in "/no.anchor.json#none" not found`,
		`no.draft.json: `,
		`loop.json: is made of references that go round in a circle`,
		`ok.json: event ok has a schema already, from ok.json`,
		`bad.mode.json: mode is "strict", want enforce or warn`,
		`v.json: has version "2" but no event`,
		`broken.json at /type: must `,
		`./broken.json: has the address /broken.json, which broken.json has already`,
		`draft4.json at /exclusiveMinimum: must be boolean, is number`,
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) || len(problems) != len(want) {
		t.Fatalf("%d problems, want %d:\n%s", len(got), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d: %s\nwant it to begin: %s", i, got[i], want[i])
		}
	}
	for i, p := range problems[1:] {
		if p.Source < problems[i].Source {
			t.Errorf("problems are not in the order of the sources: %d after %d", p.Source, problems[i].Source)
		}
	}
}

func TestCompile_resolvesReferencesAmongTheSources(t *testing.T) {
	const address = `{"$id":"https://example.com/address","type":"object","required":["city"],"$defs":{"zip":{"$anchor":"zip","type":"string"}}}`
	set := compile(t,
		shared("/etc/schemas/common/address.json", address),
		schema.Source{Name: "by.path", From: "/etc/schemas/order.json", Mode: schema.ModeEnforce, Text: []byte(`{"properties":{"to":{"$ref":"common/address.json"}}}`)},
		schema.Source{Name: "by.id", From: "events.schemas[2]", Mode: schema.ModeEnforce, Text: []byte(`{"properties":{"to":{"$ref":"https://example.com/address"},"zip":{"$ref":"https://example.com/address#zip"}}}`)},
		schema.Source{Name: "by.event", From: "/etc/schemas/x.json", Mode: schema.ModeEnforce, Text: []byte(`{"$ref":"order.json"}`)},
		event("by.def", `{"$defs":{"a":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/a"},"self":{"$ref":"#"}}}`),
		event("of.schemas", `{"properties":{"s":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}`),
		event("not.refs", `{"properties":{"$ref":{"type":"string"},"a":{"const":{"$ref":"nowhere.json"},"default":{"$ref":"nowhere.json"}}}}`),
	)
	for _, c := range []struct{ name, data, want string }{
		{"by.path", `{"to":{"city":"x"}}`, ""},
		{"by.path", `{"to":{}}`, "data.to.city is missing"},
		{"by.id", `{"to":{}}`, "data.to.city is missing"},
		{"by.id", `{"zip":1}`, "data.zip must be string, is number"},
		{"by.event", `{"to":{}}`, "data.to.city is missing"},
		{"by.def", `{"self":{"self":{"a":1}}}`, "data.self.self.a must be string, is number"},
		{"of.schemas", `{"s":{"type":3}}`, "data.s.type must"},
		{"not.refs", `{"$ref":1}`, "data.$ref must be string, is number"},
	} {
		f := set.Check([]byte(c.name), nil, []byte(c.data))
		switch {
		case f == nil && c.want != "", f != nil && c.want == "":
			t.Errorf("Check(%s, %s) = %v, want %q", c.name, c.data, f, c.want)
		case f != nil && !strings.HasPrefix(f.Violations[0].String(), c.want):
			t.Errorf("Check(%s, %s) = %v, want %q", c.name, c.data, f, c.want)
		}
	}
}

func TestCompile_takesNoSource(t *testing.T) {
	set := compile(t)
	if set.Len() != 0 || set.Has([]byte("a"), nil) || set.Check([]byte("a"), nil, []byte(`{}`)) != nil {
		t.Error("a set of nothing finds something")
	}
}

func TestProblems_sayWhere(t *testing.T) {
	err := schema.Problems{{From: "a.json", Says: "is bad"}, {Source: 1, From: "b.json", At: "/x", Says: "is worse"}}
	if diff := cmp.Diff("a.json: is bad\nb.json at /x: is worse", err.Error()); diff != "" {
		t.Error(diff)
	}
}
