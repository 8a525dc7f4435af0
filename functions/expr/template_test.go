package expr

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTemplate_keepsTypesWhereOneExpressionStandsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		source any
		want   string
	}{
		"a number":            {"${steps.stock.price}", `5`},
		"a list":              {"${event.data.c}", `[1,2,3,4,5]`},
		"null":                {"${steps.stock.empty}", `null`},
		"with a space":        {" ${steps.stock.price}", `" 5"`},
		"two":                 {"${steps.stock.price}${steps.stock.rate}", `"51.5"`},
		"null in a text":      {"a${steps.stock.empty}b", `"ab"`},
		"an object in a text": {`x${{"a": "b"}}`, `"x{\"a\":\"b\"}"`},
		"a time in a text":    {`at ${timestamp("2026-01-02T03:04:05Z")}`, `"at 2026-01-02T03:04:05Z"`},
		"escaped":             {"$${x} $$ $ ${1}", `"${x} $$ $ 1"`},
		"twice escaped":       {"$$${x}", `"$${x}"`},
		"empty":               {"", `""`},
		"braces in a text":    {`${"}" + '}' + """}""" + r"\}"}`, `"}}}\\}"`},
		"a quote escaped":     {`${"\"}"}`, `"\"}"`},
		"braces of a map":     {`${{"a": {"b": 1}}.a.b}`, `1`},
		"a structure":         {map[string]any{"b": []any{"${item}", 1, 2.5, nil, true}, "a": map[string]any{}}, `{"a":{},"b":["it's",1,2.5,null,true]}`},
		"numbers of YAML":     {[]any{int64(-3), uint64(18446744073709551615), float32(0.5)}, `[-3,18446744073709552000,0.5]`},
		"a time of YAML":      {time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), `"2026-01-02T03:04:05Z"`},
		"several lines":       {"${\n 1 +\n 2 // three }\n}", `3`},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, wrong := newEnv(t).Template(c.source)
			if wrong != nil {
				t.Fatal(wrong[0].Err)
			}
			got, err := tmpl.JSON(t.Context(), newVars(), 1<<10)
			if err != nil || string(got) != c.want {
				t.Errorf("%v = %s, %v, want %s", c.source, got, err, c.want)
			}
		})
	}
}

func TestTemplate_tellsAllErrorsAndTheirPlaces(t *testing.T) {
	_, wrong := newEnv(t).Template(map[string]any{
		"a":    []any{"x${1 +}", "${"},
		"b":    "line\n  ${nope}",
		"c":    map[string]any{"${k}": 1},
		"d":    func() {},
		"good": "${1}",
	})
	var got []string
	for _, w := range wrong {
		got = append(got, w.Path+" "+w.Err.Error())
	}
	want := []string{
		`.a[0] character 7: unexpected end of the expression`,
		`.a[1] character 1: "${" without a "}" to it; "$${" stands for the characters themselves`,
		`.b line 2, character 5: undeclared reference to 'nope'`,
		`.c.${k} character 1: a name without ${…}: names of members are literal`,
		`.d character 1: a value that JSON has, not func()`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestTemplate_hasABound(t *testing.T) {
	tmpl, wrong := newEnv(t).Template("${item}${item}${item}")
	if wrong != nil {
		t.Fatal(wrong)
	}
	var failed *EvalError
	if _, err := tmpl.Text(t.Context(), newVars(), 10); !errors.As(err, &failed) || !failed.Limit {
		t.Errorf("Text = %v, want a limit", err)
	}
}

func TestURL_letsValuesFillPartsOnly(t *testing.T) {
	for text, want := range map[string]string{
		`http://a/x/${item}`:                     `http://a | /x/it%27s`,
		`http://a`:                               `http://a | /`,
		`HTTPS://A:80/x?y=z`:                     `https://a:80 | /x?y=z`,
		`http://a?x=${steps.pay.id}`:             `http://a | /?x=p%2F1%20%3F%23`,
		`http://a/${steps.pay.id}/b`:             `http://a | /p%2F1%20%3F%23/b`,
		`http://a/${"a/..b/c..//."}d/b`:          `http://a | /a%2F..b%2Fc..%2F%2F.d/b`,
		`http://a/v${steps.stock.price}/${true}`: `http://a | /v5/true`,
		`http://a/x?a=&b=${""}`:                  `http://a | /x?a=&b=`,
		`http://a//x/./${1}`:                     `http://a | //x/./1`,
		`http://[::1]:80/`:                       `http://[::1]:80 | /`,
	} {
		u, err := newEnv(t).URL(text)
		if err != nil {
			t.Errorf("URL(%s) = %v", text, err)
			continue
		}
		target, err := u.Target(t.Context(), newVars(), 1<<10)
		if got := u.Origin() + " | " + target; err != nil || strings.ReplaceAll(got, "'", "%27") != want {
			t.Errorf("%s = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, `/x`, `a/b`, `ftp://a/`, `http://`, `http:///x`, `http://${item}/`, `http://a${item}`, `http://a:${item}/`, `${item}`,
		`http://u@a/`, `http://u:p@a/`, `http://a/#x`, `http://a/ x`, `http://a/ü`, `http://a/%zz`, `http://a:x/`, `http://a:/`, `http://a:65536/`, `http://a:0/`, `http://a\b/`, `http://a/${`,
	} {
		var syntax *SyntaxError
		if u, err := newEnv(t).URL(text); !errors.As(err, &syntax) {
			t.Errorf("URL(%s) = %v, %v, want a SyntaxError", text, u, err)
		}
	}
	for _, text := range []string{
		`http://a/${null}`, `http://a/${[1]}`, `http://a/${""}/x`, `http://a/${"."}`, `http://a/${"."}${"."}`, `http://a/.${"."}`, `http://a/x?y=${{"a":1}}`,
		`http://a/${"../.."}/b`, `http://a/${"x/../y"}`, `http://a/x${"/.."}`, `http://a/${"..\\"}x`, `http://a/.${"./x"}`, `http://a/${"x/"}.`,
	} {
		u, err := newEnv(t).URL(text)
		if err != nil {
			t.Errorf("URL(%s) = %v", text, err)
			continue
		}
		var failed *EvalError
		if target, err := u.Target(t.Context(), newVars(), 1<<10); !errors.As(err, &failed) {
			t.Errorf("%s = %s, %v, want an EvalError", text, target, err)
		}
	}
}

// What is cut is put together again and cut alike; what holds no expression
// stays as it is.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "${a}", "x${a}y${b}", "$${a}", "$$${a}", "${", "${}", `${"}"}`, `${'''}'''}`, `${r"\"}`, `${{"a": {}}}`,
		"${a // }\n}", "${b\"\\\"}\"}", "$", "${\"", "${a}}", "{${a}", "ü${ü}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, syntax := scan(text)
		if syntax != nil {
			if syntax.Line < 1 || syntax.Column < 1 {
				t.Errorf("scan(%q): an error nowhere: %+v", text, syntax)
			}
			return
		}
		if !strings.Contains(text, "${") && (len(pieces) > 1 || len(pieces) == 1 && (pieces[0].isExpr || pieces[0].text != text)) {
			t.Errorf("scan(%q) = %+v", text, pieces)
		}
		var again strings.Builder
		for _, p := range pieces {
			if p.isExpr {
				if !strings.HasPrefix(text[p.at:], p.text) {
					t.Errorf("scan(%q): the expression %q is not at %d", text, p.text, p.at)
				}
				again.WriteString("${" + p.text + "}")
			} else {
				again.WriteString(strings.ReplaceAll(p.text, "${", "$${"))
			}
		}
		second, syntax := scan(again.String())
		if syntax != nil || len(second) != len(pieces) {
			t.Fatalf("scan(%q) = %+v, and of it again, %q, %+v, %v", text, pieces, again.String(), second, syntax)
		}
		for i := range second {
			if second[i].text != pieces[i].text || second[i].isExpr != pieces[i].isExpr {
				t.Errorf("scan(%q)[%d] = %q, again %q", text, i, pieces[i].text, second[i].text)
			}
		}
	})
}

// No text makes the compiler panic, and what compiles evaluates or says why not.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`${event.data.map(k, k)}`, `${steps["a"].b + 1}`, `${{"a": [1, 2u, b"x"]}}`, `${[1][2]}`, `${"a".matches("(")}`} {
		f.Add(seed)
	}
	env, err := New(Options{Variables: []string{"event", "steps"}, MaxCost: 10_000})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, wrong := env.Template(text)
		if wrong != nil {
			return
		}
		data, err := tmpl.JSON(t.Context(), newVars(), 1<<16)
		if failed := (*EvalError)(nil); err != nil && !errors.As(err, &failed) {
			t.Errorf("%q: %v is no EvalError", text, err)
		}
		if err == nil && len(data) > 1<<16 {
			t.Errorf("%q: %d bytes", text, len(data))
		}
	})
}
