package expr

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func newEnv(t testing.TB) *Env {
	t.Helper()
	e, err := New(Options{Variables: []string{"event", "steps", "item"}, MaxCost: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newVars() *Vars {
	steps := NewNames(nil)
	steps.Set("stock", Raw(json.RawMessage(`{"available":false,"price":5,"rate":1.5,"empty":null}`)))
	steps.Set("send-mail", Raw(json.RawMessage(`{"ids":["a","b"]}`)))
	upper := NewNames(steps)
	upper.Set("pay", Raw(json.RawMessage(`{"id":"p/1 ?#","list":[3,1,2]}`)))
	var v *Vars
	return v.With("event", Raw(json.RawMessage(`{"name":"x","data":{"b":1,"a":"two","c":[1,2,3,4,5],"big":9007199254740993}}`))).
		With("steps", upper.Value()).
		With("item", String("it's"))
}

func TestExpr_givesWhatJSONWouldHave(t *testing.T) {
	for text, want := range map[string]string{
		`!steps.stock.available`:               `true`,
		`steps.stock.price * steps.stock.rate`: `7.5`,
		`steps.stock.price * 2`:                `10`,
		`1 + 2.5`:                              `3.5`,
		`steps.stock.rate - 1`:                 `0.5`,
		`5 / 2 + 1`:                            `3.5`,
		`6 / 2`:                                `3`,
		`-7 / 2`:                               `-3.5`,
		`event.data.c[0] / 0.5`:                `2`,
		`fromJson("[5.0, 1e2, -0.0]").map(n, type(n) == int)`: `[true,true,true]`,
		`fromJson("1e16") / 3.0 > 3.0`:                        `true`,
		`fromJson("5.0") % 2`:                                 `1`,
		`7 / 2.0`:                                             `3.5`,
		`steps["send-mail"].ids[1]`:                           `"b"`,
		`has(steps.gone) || has(steps.pay)`:                   `true`,
		`event.data.map(k, k)`:                                `["a","b","big","c"]`,
		`{"z": 1, "b": 2, "y": 3, "a": 4}.map(k, k)`:          `["a","b","y","z"]`,
		`{3: "c", 1: "a", 2: "b"}.map(k, k)`:                  `[1,2,3]`,
		`chunks(event.data.c, 2)`:                             `[[1,2],[3,4],[5]]`,
		`chunks([], 2)`:                                       `[]`,
		`merge(event.data, {"b": null, "d": item}).d`:         `"it's"`,
		`toJson({"b": 1, "a": [true, null]})`:                 `"{\"a\":[true,null],\"b\":1}"`,
		`fromJson("[1, 2.5]")[1]`:                             `2.5`,
		`event.data.big`:                                      `9007199254740992`,
		`timestamp("2026-01-02T03:04:05Z")`:                   `"2026-01-02T03:04:05Z"`,
		`duration("90s")`:                                     `"1m30s"`,
		`b"abc"`:                                              `"YWJj"`,
		`"<a&b>"`:                                             `"<a&b>"`,
		`steps.pay.list.sort()`:                               `[1,2,3]`,
		`event.data.c.filter(x, x > 2.5).size()`:              `3`,
		`steps.stock.empty == null`:                           `true`,
		`steps.stock == {"available": false, "price": 5.0, "rate": 1.5, "empty": null}`: `true`,
		`"a,b".split(",")`:  `["a","b"]`,
		`item.upperAscii()`: `"IT'S"`,
		`dyn(5.0)`:          `5`,
	} {
		t.Run(text, func(t *testing.T) {
			x, err := newEnv(t).Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			v, err := x.Eval(t.Context(), newVars())
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.JSON(1 << 10)
			if err != nil || string(got) != want {
				t.Errorf("%s = %s, %v, want %s", text, got, err, want)
			}
		})
	}
}

func TestExpr_failsWithWords(t *testing.T) {
	for text, want := range map[string]string{
		`steps.gone.x`:      "no such key: gone",
		`event.data.a.b`:    "no such",
		`event.data.a + 1`:  "no such overload",
		`chunks([1], 0)`:    "chunks: a length of 0",
		`1 / 0`:             "divis",
		`fromJson("1e999")`: "no JSON",
		`fromJson("{")`:     "no JSON",
		`lists.range(10000).map(x, x).distinct()`:            "costs more than one evaluation may",
		`lists.range(100).map(x, toJson(lists.range(9000)))`: "costs more than one evaluation may",
		`[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a+b+c+d+e > 0)))))`: "costs more than one evaluation may",
	} {
		t.Run(text, func(t *testing.T) {
			x, err := newEnv(t).Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			_, err = x.Eval(t.Context(), newVars())
			var failed *EvalError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want an EvalError with %q", err, want)
			}
		})
	}
}

func TestNames_areAnObjectToo(t *testing.T) {
	lower := NewNames(nil)
	lower.Set("a", Int(1))
	lower.Set("b", Int(2))
	upper := NewNames(lower)
	upper.Set("b", String("hides"))
	upper.Set("c", Null())
	vars := NewVars(nil).With("steps", upper.Value())
	for text, want := range map[string]string{
		`steps`:                           `{"a":1,"b":"hides","c":null}`,
		`steps.map(k, k)`:                 `["a","b","c"]`,
		`steps.size()`:                    `3`,
		`"a" in steps && !("d" in steps)`: `true`,
		`steps["a"] + 1`:                  `2`,
		`steps == {"a": 1, "b": "hides", "c": null}`: `true`,
		`{"a": 1, "b": "hides", "c": null} == steps`: `true`,
		`type(steps) == map`:                         `true`,
		`merge(steps, {"a": 5}).a`:                   `5`,
	} {
		x, err := newEnv(t).Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Eval(t.Context(), vars)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := v.JSON(1 << 10); err != nil || string(got) != want {
			t.Errorf("%s = %s, %v, want %s", text, got, err, want)
		}
	}
	if v, ok := upper.Get("a"); ok {
		t.Errorf("Get of what stands below = %v", v)
	}
}

func TestMeter_boundsSeveralEvaluations(t *testing.T) {
	vars := NewVars(NewMeter(10_000)).With("item", Int(1))
	x, err := newEnv(t).Compile(`lists.range(100).all(i, i >= 0) && item == 1`)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		_, err := x.Eval(t.Context(), vars)
		var failed *EvalError
		if errors.As(err, &failed) && failed.Limit && n > 1 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the meter never ran out")
}

func TestCompile_saysWhere(t *testing.T) {
	for text, want := range map[string]SyntaxError{
		`1 +`:          {Line: 1, Column: 4},
		"1 +\n - nope": {Line: 2, Column: 4},
		`evnt.data`:    {Line: 1, Column: 1},
		`"a" + 1`:      {Line: 1, Column: 5},
		`now()`:        {Line: 1, Column: 4},
		``:             {Line: 1, Column: 1},
	} {
		t.Run(text, func(t *testing.T) {
			_, err := newEnv(t).Compile(text)
			var got *SyntaxError
			if !errors.As(err, &got) || got.Line != want.Line || got.Column != want.Column {
				t.Errorf("Compile = %#v, want line %d column %d", err, want.Line, want.Column)
			}
		})
	}
}

func TestExpr_tellsItsMembers(t *testing.T) {
	x, err := newEnv(t).Compile(`has(steps.a) && steps["b-c"].x == steps.d && event.steps.e && event.data.exists(i, i == steps.f)`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[Member]bool{}
	members, whole := x.Members("steps")
	for _, m := range members {
		got[m] = true
	}
	want := []Member{{"a", true}, {"b-c", false}, {"d", false}, {"f", false}}
	for _, m := range want {
		if !got[m] {
			t.Errorf("Members lacks %v: %v", m, members)
		}
	}
	if len(members) != len(want) || whole {
		t.Errorf("Members = %v, %v, want %v, false", members, whole, want)
	}
	for _, text := range []string{`steps`, `steps[item]`, `steps.map(k, k)`} {
		x, err := newEnv(t).Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, whole := x.Members("steps"); !whole {
			t.Errorf("Members of %s: whole is false", text)
		}
	}
}

func TestExpr_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, err := newEnv(t).Compile(`lists.range(1000).map(x, x)`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Eval(ctx, newVars()); !errors.Is(err, context.Canceled) {
		t.Errorf("Eval = %v, want that of the context", err)
	}
}

func TestValue_hasNoJSONWithoutEnd(t *testing.T) {
	v := String("x")
	for range 100 {
		v = List([]Value{v, v})
	}
	var failed *EvalError
	if _, err := v.JSON(1 << 20); !errors.As(err, &failed) || !failed.Limit {
		t.Errorf("JSON = %v, want a limit", err)
	}
}
