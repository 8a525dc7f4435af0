package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, errors.New("not in the bundle: " + url) }

// The bundle stands alone: another validator says of whole events what Check
// says of their data.
func TestTypes_bundleAgreesWithCheck(t *testing.T) {
	set := examples(t)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(printed(t, set, schema.LangJSON))))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource("https://example.com/events", doc); err != nil {
		t.Fatal(err)
	}
	bundle, err := c.Compile("https://example.com/events")
	if err != nil {
		t.Fatal(err)
	}
	const money, customer = `{"amount":1,"currency":"EUR"}`, `{"id":1}`
	order := func(more string) string {
		return `{"orderId":"x","customer":` + customer + `,"items":[{"sku":"a","qty":1}],"total":` + money + `,"payment":null,"note":null` + more + `}`
	}
	accepted := 0
	for _, e := range []struct{ name, version, data string }{
		{"order.created", "", order("")},
		{"order.created", "", ""},
		{"order.created", "", `{}`},
		{"order.created", "1", order(`,"payment":{"kind":"card","last4":"1234"}`)},
		{"order.created", "1", order(`,"payment":{"kind":"card","last4":"123"}`)},
		{"order.created", "", order(`,"payment":{"kind":"invoice","dueAt":"x"},"priority":2,"position":[1,2]`)},
		{"order.created", "", order(`,"position":[1]`)},
		{"order.created", "", order(`,"position":[1,2,"x",4]`)},
		{"order.created", "", order(`,"parent":` + order("") + `,"customer":{"id":1,"referredBy":{"id":2,"address":{"city":"x"}}}`)},
		{"order.created", "", order(`,"parent":{}`)},
		{"order.created", "", order(`,"customer":{"id":1,"x":1}`)},
		{"order.created", "", order(`,"total":{"amount":1,"currency":"eur"}`)},
		{"order.created", "2", `{"city":"x","country":"de"}`},
		{"order.created", "2", `{"city":"","country":"de"}`},
		{"order.created", "2", order("")},
		{"order/created", "2026-1", `{"city":"x","country":"de"}`},
		{"order/created", "2026-1", `{}`},
		{"order/created", "", `{}`},
		{"app/user-tree.grown", "", `{"root":{"value":1,"only":{"value":"x","only":true}},"x-a":"b"}`},
		{"app/user-tree.grown", "", `{"root":{"value":1,"only":[]}}`},
		{"app/user-tree.grown", "", `{"root":{"value":1,"only":1},"lists":[[],[[]]],"pair":[1,{"value":1,"only":1},"s"]}`},
		{"app/user-tree.grown", "", `{"root":{"value":1,"only":1},"lists":[1]}`},
		{"odd.names", "v7", `{"order-id":"1","class":"x","größe":1.5}`},
		{"odd.names", "v7", `{"order-id":"1","class":"x","more":1}`},
		{"odd.names", "", `{"more":1}`},
		{"paid", "", money},
		{"paid", "", `{"amount":1.5,"currency":"EUR"}`},
		{"anything", "", ""},
		{"1:", "", ""},
		{"1:", "", `{"a":"x"}`},
		{"unknown", "", `{"a":1}`},
	} {
		text := `{"name":` + quote(e.name)
		if e.version != "" {
			text += `,"v":` + quote(e.version)
		}
		if e.data != "" {
			text += `,"data":` + e.data
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text + "}")))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		theirs := bundle.Validate(value)
		ours := set.Check([]byte(e.name), []byte(e.version), []byte(e.data))
		if (theirs == nil) != (ours == nil) {
			t.Errorf("%s}: Check says %v, the bundle %v", text, ours, theirs)
		}
		if ours == nil {
			accepted++
		}
	}
	if accepted < 10 || accepted > 20 {
		t.Errorf("%d events fit their schemas; the table should hold as many that do as do not", accepted)
	}
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// FuzzTypes: what compiles can be printed in every language, the same each time,
// and the Go compiles.
func FuzzTypes(f *testing.F) {
	for _, text := range []string{
		`true`, `{}`, `{"type":"object"}`, `{"$ref":"#/$defs/a","$defs":{"a":{"type":["object","null"],"properties":{"a":{"$ref":"#/$defs/a"}}}}}`,
		`{"anyOf":[{"$ref":"#"},{"type":"string"}]}`, `{"type":"array","items":{"$ref":"#"}}`, `{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"required":["b"]}]}`,
		`{"properties":{"a":{"enum":[1,"x",null,{}]},"A":{"const":"*/"},"a b":{"anyOf":[{"required":["x"]},{"required":["y"]}],"properties":{"z":{}}}}}`,
		`{"oneOf":[{"title":"A","properties":{"x":{"const":1}}},{"title":"A","properties":{"y":{"prefixItems":[{}],"items":false}}}]}`,
		`{"$dynamicRef":"#n","$defs":{"b":{"$dynamicAnchor":"n","type":"object","properties":{"n":{"$dynamicRef":"#n"}},"required":["n"]}}}`,
		`{"type":"object","properties":{"t":{"$ref":"#"}},"required":["t"]}`, `{"description":"a\n*/ \u2028 b","properties":{"x":{"format":"*/\n"}}}`,
		`{"$schema":"http://json-schema.org/draft-04/schema#","id":"a/b","definitions":{"":{"id":"c"},"1":{"type":"null"}},"items":[{"$ref":"#/definitions/1"}]}`,
	} {
		f.Add(text, "order.created", "2")
	}
	f.Fuzz(func(t *testing.T, text, name, version string) {
		of := func(name, version, from string) schema.Source {
			return schema.Source{Name: name, Version: version, From: from, Text: []byte(text), Mode: schema.ModeWarn}
		}
		sources := []schema.Source{of(name, version, "a"), of(name+".two", "", "a"), {Name: "third", From: "b", Text: []byte(`{"properties":{"a":{"$ref":"a"}}}`), Mode: schema.ModeWarn}}
		set, err := schema.Compile(sources)
		if err != nil {
			return
		}
		for _, lang := range schema.Langs() {
			got := printed(t, set, lang)
			if lang == schema.LangGo {
				checkGo(t, got)
			}
			again, err := schema.Compile(sources)
			if err != nil {
				t.Fatal(err)
			}
			if printed(t, again, lang) != got {
				t.Errorf("Types(%s) printed something else the second time", lang)
			}
		}
		set.Check([]byte(name), []byte(version), []byte(fmt.Sprintf(`{"a":[%q]}`, name)))
	})
}
