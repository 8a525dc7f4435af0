package schema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// fits tells whether a value has a shape.
func fits(s *shape, value any) bool {
	switch s.kind {
	case shapeNever:
		return false
	case shapeNull:
		return value == nil
	case shapeBool:
		_, ok := value.(bool)
		return ok
	case shapeInteger, shapeNumber:
		_, ok := value.(json.Number)
		return ok
	case shapeString:
		_, ok := value.(string)
		return ok
	case shapeLiteral:
		return equal(s.value, value)
	case shapeArray, shapeTuple:
		items, ok := value.([]any)
		if !ok || len(items) < s.least || s.elem == nil && len(items) > len(s.of) {
			return false
		}
		for i, item := range items {
			if of := s.elem; i < len(s.of) && !fits(s.of[i], item) || i >= len(s.of) && !fits(of, item) {
				return false
			}
		}
		return true
	case shapeMap:
		members, ok := value.(map[string]any)
		for _, inner := range members {
			ok = ok && fits(s.elem, inner)
		}
		return ok
	case shapeUnion:
		for _, of := range s.of {
			if fits(of, value) {
				return true
			}
		}
		return false
	case shapeNamed:
		return fitsDecl(s.named, value)
	}
	return true
}

func fitsDecl(d *decl, value any) bool {
	if !d.object {
		return fits(d.alias, value)
	}
	members, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for _, f := range d.fields {
		inner, there := members[f.key]
		if !there && f.required || there && !fits(f.shape, inner) {
			return false
		}
	}
	return true
}

// random makes schemas and values that have a fair chance to fit each other.
type random struct{ *rand.Rand }

func (r random) of(texts ...string) string { return texts[r.IntN(len(texts))] }

func (r random) schema(depth int) string {
	if depth == 0 {
		return r.of(`{}`, `true`, `false`, `{"type":"string"}`, `{"type":"integer"}`, `{"type":["number","null"]}`, `{"type":"boolean"}`,
			`{"enum":["a",1,null]}`, `{"const":"a"}`, `{"enum":[1,2.0,true]}`, `{"$ref":"#/$defs/x"}`, `{"$ref":"#/$defs/y"}`, `{"$ref":"#"}`)
	}
	inner := func() string { return r.schema(depth - 1) }
	object := func() string {
		var b strings.Builder
		for i, key := range []string{"a", "b", "c"}[:1+r.IntN(3)] {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, "%q:%s", key, inner())
		}
		return fmt.Sprintf(`{"type":"object","properties":{%s}%s%s}`, b.String(),
			r.of("", `,"required":["a"]`, `,"required":["a","d"]`), r.of("", "", `,"additionalProperties":false`, `,"additionalProperties":`+inner()))
	}
	group := func() string {
		return fmt.Sprintf(`%q:[%s,%s%s]`, r.of("anyOf", "oneOf", "allOf"), inner(), inner(), r.of("", ","+inner()))
	}
	switch r.IntN(9) {
	case 0:
		return inner()
	case 1, 2, 3:
		return object()
	case 4:
		return fmt.Sprintf(`{"type":"array","items":%s}`, inner())
	case 5:
		return fmt.Sprintf(`{"type":%s,"prefixItems":[%s,%s]%s%s}`, r.of(`"array"`, `["array","string"]`), inner(), inner(), r.of("", `,"items":false`, `,"items":`+inner()), r.of("", `,"minItems":1`, `,"minItems":5`))
	case 6:
		return fmt.Sprintf(`{"type":"object",%s:%s}`, r.of(`"additionalProperties"`, `"unevaluatedProperties"`), inner()) + ""
	case 7:
		return fmt.Sprintf(`{"type":"object","patternProperties":{"a":%s}%s}`, inner(), r.of("", `,"additionalProperties":`+inner()))
	}
	siblings := strings.TrimSuffix(object(), "}")
	return r.of("{", siblings+",", `{"type":["object","string"],`, `{"$ref":"#/$defs/x",`, `{"not":{"const":1},`) + group() + "}"
}

func (r random) value(depth int) string {
	if depth == 0 || r.IntN(5) == 0 {
		return r.of("null", "true", "1", "2", "1.5", `"a"`, `"b"`, "{}", "[]")
	}
	var b strings.Builder
	n := r.IntN(4)
	if r.IntN(3) == 0 {
		for i := range n {
			b.WriteString(r.of(",")[:min(i, 1)] + r.value(depth-1))
		}
		return "[" + b.String() + "]"
	}
	for i, key := range []string{"a", "b", "c", "d"}[:n] {
		b.WriteString(","[:min(i, 1)] + fmt.Sprintf("%q:", key) + r.value(depth-1))
	}
	return "{" + b.String() + "}"
}

// Types leave things out, but they never forbid what the schema allows.
func TestTypes_allowWhatTheSchemaAllows(t *testing.T) {
	r := random{rand.New(rand.NewPCG(8, 2))}
	compiled, valid := 0, 0
	for range 1500 {
		text := strings.TrimSuffix(r.schema(2+r.IntN(2)), "}")
		if !strings.HasPrefix(text, "{") {
			continue
		}
		text += r.of(",", ",")[:min(len(text)-1, 1)] + fmt.Sprintf(`"$defs":{"x":%s,"y":%s}}`, r.schema(2), r.schema(1))
		set, err := Compile([]Source{{Name: "e", From: "e.json", Mode: ModeEnforce, Text: []byte(text)}})
		if err != nil {
			if !strings.Contains(err.Error(), "circle") {
				t.Fatalf("Compile(%s): %v", text, err)
			}
			continue
		}
		println(text)
		compiled++
		of := set.declare()
		for _, lang := range Langs() {
			if err := set.Types(new(strings.Builder), lang); err != nil {
				t.Fatalf("Types(%s) of %s: %v", lang, text, err)
			}
		}
		for range 60 {
			data := r.value(4)
			value, err := decode([]byte(data))
			if err != nil {
				t.Fatalf("value %s: %v", data, err)
			}
			if set.schemas[0].compiled.Validate(value) != nil {
				continue
			}
			valid++
			if !fitsDecl(of.events[0].decl, value) {
				t.Fatalf("%s fits\n%s\nbut not the types:\n%s", data, text, typeScript(of))
			}
		}
	}
	if compiled < 700 || valid < 10_000 {
		t.Errorf("%d schemas with %d values that fit: too few to say much", compiled, valid)
	}
}

func TestTypes_straightenAliasesThatLeadBack(t *testing.T) {
	for text, want := range map[string]string{
		`{"$defs":{"x":{"anyOf":[{"$ref":"#/$defs/x"},{"type":"string"}]}},"properties":{"x":{"$ref":"#/$defs/x"}}}`:                                                      "export type EX = string;",
		`{"$defs":{"x":{"anyOf":[{"$ref":"#/$defs/y"},{"type":"string"}]},"y":{"anyOf":[{"$ref":"#/$defs/x"},{"type":"null"}]}},"properties":{"x":{"$ref":"#/$defs/x"}}}`: "export type EX = string | null;",
		`{"$defs":{"x":{"$ref":"#/$defs/x"}},"properties":{"x":{"$ref":"#/$defs/x"}}}`:                                                                                    "x?: unknown;",
	} {
		set, err := Compile([]Source{{Name: "e", From: "e.json", Mode: ModeEnforce, Text: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := typeScript(set.declare()); !strings.Contains(got, want) {
			t.Errorf("types of %s:\n%s\nwant %s in it", text, got, want)
		}
	}
}
