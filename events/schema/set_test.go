package schema_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

func TestCheck_picksSchemaByNameAndVersion(t *testing.T) {
	of := func(name, version, want string, mode schema.Mode) schema.Source {
		return schema.Source{Name: name, Version: version, From: name + version, Mode: mode, Text: []byte(`{"required":["` + want + `"]}`)}
	}
	set := compile(t,
		of("a", "", "any", schema.ModeEnforce), of("a", "2", "two", schema.ModeWarn),
		of("b", "1", "one", schema.ModeEnforce),
	)
	if set.Len() != 3 {
		t.Errorf("Len = %d, want 3", set.Len())
	}
	for _, c := range []struct {
		name, version, data string
		want                *schema.Failure
	}{
		{"a", "", `{"any":1}`, nil},
		{"a", "", `{}`, &schema.Failure{Event: "a", From: "a", Mode: schema.ModeEnforce, Violations: []schema.Violation{{Path: "data.any", Want: "is missing"}}}},
		{"a", "3", `{"two":1}`, &schema.Failure{Event: "a", From: "a", Mode: schema.ModeEnforce, Violations: []schema.Violation{{Path: "data.any", Want: "is missing"}}}},
		{"a", "2", `{"two":1}`, nil},
		{"a", "2", ``, &schema.Failure{Event: "a", Version: "2", From: "a2", Mode: schema.ModeWarn, Violations: []schema.Violation{{Path: "data.two", Want: "is missing"}}}},
		{"a", "2", ` null `, &schema.Failure{Event: "a", Version: "2", From: "a2", Mode: schema.ModeWarn, Violations: []schema.Violation{{Path: "data.two", Want: "is missing"}}}},
		{"b", "1", `{}`, &schema.Failure{Event: "b", Version: "1", From: "b1", Mode: schema.ModeEnforce, Violations: []schema.Violation{{Path: "data.one", Want: "is missing"}}}},
		{"b", "", `{}`, nil},
		{"b", "2", `{}`, nil},
		{"A", "", `{}`, nil},
		{"c", "", `{}`, nil},
		{"a", "", `{`, &schema.Failure{Event: "a", From: "a", Mode: schema.ModeEnforce, Violations: []schema.Violation{{Path: "data", Want: "must be JSON"}}}},
	} {
		got := set.Check([]byte(c.name), []byte(c.version), []byte(c.data))
		if diff := cmp.Diff(c.want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".tokens" }, cmp.Ignore())); diff != "" {
			t.Errorf("Check(%s, %s, %s) (-want +got):\n%s", c.name, c.version, c.data, diff)
		}
	}
	if !set.Has([]byte("a"), []byte("9")) || set.Has([]byte("b"), []byte("9")) {
		t.Error("Has does not agree with Check")
	}
}

func TestCheck_saysWhatIsWanted(t *testing.T) {
	const secret = "secret-value"
	for name, c := range map[string]struct{ schema, data, want string }{
		"type":               {`{"properties":{"a":{"type":"integer"}}}`, `{"a":1.5}`, "data.a must be integer, is number"},
		"types":              {`{"properties":{"a":{"type":["string","null"]}}}`, `{"a":{}}`, "data.a must be null or string, is object"},
		"enum":               {`{"properties":{"a":{"enum":["x",1,null]}}}`, `{"a":"secret-value"}`, `data.a must be "x" or 1 or null`},
		"long enum":          {`{"properties":{"a":{"enum":[1,2,3,4,5,6,7,8,9,10,11,12]}}}`, `{"a":0}`, `data.a must be 1 or 2 or 3 or 4 or 5 or 6 or 7 or 8 or 9 or 10 or one of 2 others`},
		"const":              {`{"properties":{"a":{"const":{"b":[1]}}}}`, `{"a":"secret-value"}`, `data.a must be {"b":[1]}`},
		"format":             {`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"format":"date-time"}}}`, `{"a":"secret-value"}`, "data.a must be of the format date-time"},
		"format of 2020-12":  {`{"properties":{"a":{"format":"date-time"}}}`, `{"a":"secret-value"}`, ""},
		"pattern":            {`{"properties":{"a":{"pattern":"^x"}}}`, `{"a":"secret-value"}`, "data.a must match the pattern ^x"},
		"minLength":          {`{"properties":{"a":{"minLength":2}}}`, `{"a":"é"}`, "data.a must have at least 2 characters, has 1"},
		"maxLength":          {`{"properties":{"a":{"maxLength":2}}}`, `{"a":"abc"}`, "data.a must have at most 2 characters, has 3"},
		"minimum":            {`{"properties":{"a":{"minimum":2}}}`, `{"a":1}`, "data.a must be at least 2"},
		"maximum":            {`{"properties":{"a":{"maximum":2.5}}}`, `{"a":3}`, "data.a must be at most 2.5"},
		"exclusiveMinimum":   {`{"properties":{"a":{"exclusiveMinimum":0}}}`, `{"a":0}`, "data.a must be more than 0"},
		"exclusiveMaximum":   {`{"properties":{"a":{"exclusiveMaximum":9007199254740993}}}`, `{"a":9007199254740993}`, "data.a must be less than 9007199254740993"},
		"exact big numbers":  {`{"properties":{"a":{"exclusiveMaximum":9007199254740993}}}`, `{"a":9007199254740992}`, ""},
		"multipleOf":         {`{"properties":{"a":{"multipleOf":0.01}}}`, `{"a":1.001}`, "data.a must be a multiple of 0.01"},
		"exact fractions":    {`{"properties":{"a":{"multipleOf":0.01}}}`, `{"a":19.99}`, ""},
		"required":           {`{"required":["a","b c"]}`, `{}`, `data.a is missing; data["b c"] is missing`},
		"closed":             {`{"additionalProperties":false}`, `{"b":1,"a":1}`, "data.a is not allowed; data.b is not allowed"},
		"unevaluated":        {`{"unevaluatedProperties":false}`, `{"a":1}`, "data.a is not allowed"},
		"minProperties":      {`{"minProperties":1}`, `{}`, "data must have at least 1 members, has 0"},
		"maxProperties":      {`{"maxProperties":1}`, `{"a":1,"b":2}`, "data must have at most 1 members, has 2"},
		"propertyNames":      {`{"propertyNames":{"maxLength":3}}`, `{"long name":1}`, `data must not have the name "long name"`},
		"items":              {`{"properties":{"a":{"items":{"required":["q"]}}}}`, `{"a":[{"q":1},{}]}`, "data.a[1].q is missing"},
		"names like indexes": {`{"properties":{"0":{"items":{"properties":{"1":{"type":"string"}}}}}}`, `{"0":[{"1":1}]}`, `data["0"][0]["1"] must be string, is number`},
		"minItems":           {`{"properties":{"a":{"minItems":1}}}`, `{"a":[]}`, "data.a must have at least 1 items, has 0"},
		"maxItems":           {`{"properties":{"a":{"maxItems":1}}}`, `{"a":[1,2]}`, "data.a must have at most 1 items, has 2"},
		"uniqueItems":        {`{"properties":{"a":{"uniqueItems":true}}}`, `{"a":[1,2,1.0]}`, "data.a must have no two equal items, 0 and 2 are"},
		"tuple":              {`{"properties":{"a":{"prefixItems":[{"type":"string"}],"items":false}}}`, `{"a":["x",1]}`, "data.a[1] is not allowed"},
		"old tuple":          {`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"items":[{}],"additionalItems":false}}}`, `{"a":[1,2,3]}`, "data.a has 2 items too many"},
		"contains":           {`{"properties":{"a":{"contains":{"const":1}}}}`, `{"a":[2]}`, "data.a must have an item as contains says"},
		"minContains":        {`{"properties":{"a":{"contains":{"const":1},"minContains":2}}}`, `{"a":[1]}`, "data.a must have at least 2 items as contains says, has 1"},
		"maxContains":        {`{"properties":{"a":{"contains":{"const":1},"maxContains":1}}}`, `{"a":[1,1]}`, "data.a must have at most 1 items as contains says, has 2"},
		"not":                {`{"properties":{"a":{"not":{"type":"string"}}}}`, `{"a":"x"}`, "data.a must not be as not says"},
		"dependentRequired":  {`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, "data must have b too, as it has a"},
		"dependencies":       {`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b","c"]}}`, `{"a":1}`, "data must have b, c too, as it has a"},
		"then":               {`{"if":{"required":["a"]},"then":{"required":["b"]}}`, `{"a":1}`, "data.b is missing"},
		"allOf":              {`{"allOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, "data.a is missing; data.b is missing"},
		"anyOf of types":     {`{"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`, `{"a":1}`, "data.a must be null or string"},
		"oneOf, none":        {`{"oneOf":[{"properties":{"k":{"const":"x"},"n":{"type":"number"}},"required":["k","n"]},{"properties":{"k":{"const":"y"}},"required":["k"]}]}`, `{"k":"x","n":"secret-value"}`, "data must fit one of 2 alternatives; the nearest wants: data.n must be number, is string"},
		"oneOf, two":         {`{"oneOf":[{},{"type":"object"},false]}`, `{}`, "data must fit one alternative only, fits 1 and 2"},
		"nothing allowed":    {`false`, `{}`, "data is not allowed"},
		"several":            {`{"properties":{"b":{"type":"string"},"a":{"type":"string"}},"required":["c"]}`, `{"a":1,"b":2}`, "data.a must be string, is number; data.b must be string, is number; data.c is missing"},
		"old bounds":         {`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":{"minimum":1,"exclusiveMinimum":true}}}`, `{"a":1}`, "data.a must be more than 1"},
		"data of no object":  {`{"type":"object"}`, `[]`, "data must be object, is array"},
	} {
		t.Run(name, func(t *testing.T) {
			f := compile(t, event("e", c.schema)).Check([]byte("e"), nil, []byte(c.data))
			got := ""
			if f != nil {
				got = strings.TrimPrefix(f.Error(), "event e violates its schema: ")
			}
			if got != c.want {
				t.Errorf("Check(%s) against %s:\n got %q\nwant %q", c.data, c.schema, got, c.want)
			}
			if strings.Contains(got, secret) {
				t.Errorf("the failure tells what the event holds: %s", got)
			}
		})
	}
}

func TestCheck_tellsTwentyOfMany(t *testing.T) {
	set := compile(t, event("e", `{"properties":{"a":{"items":{"type":"string"}}}}`))
	f := set.Check([]byte("e"), nil, []byte(`{"a":[`+strings.Repeat("1,", 99)+`1]}`))
	if f == nil || len(f.Violations) != 20 || f.More != 80 || !strings.HasSuffix(f.Error(), "; and 80 more") {
		t.Errorf("Check = %v, want 20 violations and 80 more", f)
	}
}

// As fractions these numbers would have up to a billion digits.
func TestCheck_bearsHostileNumbers(t *testing.T) {
	set := compile(t, event("e", `{"properties":{"a":{"type":"integer","minimum":0,"multipleOf":3}}}`))
	for number, ok := range map[string]bool{
		"1e-999999999":                          true, // Inngest makes 0 of it
		"-1e-999999999":                         true,
		"3e300":                                 true,
		"1e-300":                                false,
		"1e999999999":                           true, // refused long before
		"3" + strings.Repeat("0", 39):           true,
		strings.Repeat("9", 300):                false, // rounded, and no multiple of 3 then
		"3.0":                                   true,
		"0." + strings.Repeat("0", 1<<20) + "1": true,
	} {
		if f := set.Check([]byte("e"), nil, []byte(`{"a":`+number+`}`)); (f == nil) != ok {
			t.Errorf("Check(%.60s…) = %v, want valid %v", number, f, ok)
		}
	}
}

func TestCheck_servesManyAtOnce(t *testing.T) {
	set := compile(t, event("e", `{"$defs":{"t":{"type":"object","properties":{"n":{"type":"number"},"l":{"items":{"$ref":"#/$defs/t"}}},"unevaluatedProperties":false}},"$ref":"#/$defs/t"}`))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 100 {
				data := fmt.Sprintf(`{"n":%d,"l":[{"n":%d},{"l":[{"x":1}]}]}`, i, g)
				if f := set.Check([]byte("e"), nil, []byte(data)); f == nil || f.Violations[0].Path != "data.l[1].l[0].x" {
					t.Errorf("Check = %v", f)
				}
			}
		})
	}
	all.Wait()
}
