package program_test

import (
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

func TestProgram_takesTheWayThatItsStatementsSay(t *testing.T) {
	const event = `{"name":"x","data":{"n":2,"kind":"b","list":["p","q","r"],"yes":true,"id":"7"}}`
	for name, c := range map[string]struct {
		program string
		server  map[string]string
		want    string
	}{
		"nothing to return": {`[{id: a, sleep: 1s}]`, nil, `null`},
		"types are kept": {`[{return: {n: "${event.data.n}", t: "${event.data.n}!", l: ["${event.data.list}", null, 1.5, true], $: "$${x}"}}]`, nil,
			`{"$":"${x}","l":[["p","q","r"],null,1.5,true],"n":2,"t":"2!"}`},
		"then":    {`[{if: event.data.yes, then: [{return: 1}], else: [{return: 2}]}]`, nil, `1`},
		"else":    {`[{if: "${!event.data.yes}", then: [{return: 1}], else: [{return: 2}]}]`, nil, `2`},
		"no else": {`[{if: "false", then: [{return: 1}]}, {return: 3}]`, nil, `3`},
		"if wants a truth value": {`[{if: event.data.n, then: [{return: 1}]}]`, nil,
			`fails with ExpressionError: steps[0].if: gives a number, want true or false`},
		"a case":                    {`[{switch: event.data.kind, cases: [{is: a, then: [{return: 1}]}, {is: [c, b], then: [{return: 2}]}], else: [{return: 3}]}]`, nil, `2`},
		"no case":                   {`[{switch: event.data.n, cases: [{is: "2", then: [{return: 1}]}, {is: 3.0, then: [{return: 2}]}], else: [{return: 3}]}]`, nil, `3`},
		"a case by number":          {`[{switch: event.data.n, cases: [{is: 2.0, then: [{return: 1}]}]}, {return: 3}]`, nil, `1`},
		"variables are set at once": {`[{set: {a: 1, b: 2}}, {set: {a: "${vars.b}", b: "${vars.a}"}}, {return: "${[vars.a, vars.b]}"}]`, nil, `[2,1]`},
		"a loop sums up": {`
- set: {all: ""}
- forEach: event.data.list
  as: x
  index: i
  do:
  - set: {all: "${vars.all}${x}${i}"}
- return: "${vars.all}"`, nil, `"p0q1r2"`},
		"a loop's steps become a list": {`
- forEach: event.data.list
  do:
  - {id: one, get: "http://b/${item}"}
- return: "${steps.one.map(s, s.target)}"`, nil, `["/p","/q","/r"]`},
		"a loop's steps that did not run are null": {`
- forEach: event.data.list
  do:
  - if: item != "q"
    then: [{id: one, get: "http://b/${item}"}]
- return: "${steps.one}"`, nil, `[{"target":"/p"},null,{"target":"/r"}]`},
		"loops in loops": {`
- forEach: event.data.list
  as: x
  do:
  - forEach: [1, 2]
    as: y
    parallel: 2
    do:
    - {id: one, get: "http://b/${x}/${y}"}
- return: "${steps.one.map(l, l.map(s, s.target))}"`, nil, `[["/p/1","/p/2"],["/q/1","/q/2"],["/r/1","/r/2"]]`},
		"a loop ends with return": {`[{forEach: event.data.list, do: [{if: item == "q", then: [{return: "${item}"}]}]}]`, nil, `"q"`},
		"no list":                 {`[{forEach: event.data.n, do: [{return: 1}]}]`, nil, `fails with ExpressionError: steps[0].forEach: gives a number, want a list`},
		"a templated id and its name": {`
- forEach: event.data.list
  parallel: 2
  do:
  - {id: "get-${item}", as: got, get: "http://b/${item}"}
- return: "${steps.got.map(s, s.target)}"`, nil, `["/p","/q","/r"]`},
		"branches": {`
- parallel:
  - {id: a, get: "http://b/a"}
  - - {id: b, sleep: 1s}
    - {id: c, get: "http://b/c"}
- return: "${steps.a.target + steps.c.target}"`, nil, `"/a/c"`},
		"the first branch that fails decides": {`
- parallel:
  - {id: a, sleep: 1s}
  - [{fail: b}]
  - [{fail: c}]`, nil, `fails with Error: b`},
		"variables of branches stay there": {`
- set: {x: 1}
- parallel:
  - [{set: {x: 2}}, {id: a, get: "http://b/${vars.x}"}]
  - [{id: b, get: "http://b/${vars.x}"}]
- return: "${steps.a.target + steps.b.target + string(vars.x)}"`, nil, `"/2/11"`},
		"a caught step": {`
- try: [{id: pay, post: "http://b/pay"}]
  catch: [{return: {n: "${error.name}", m: "${error.message}", d: "${error.data}"}}]`,
			map[string]string{"pay": "error:declined"}, `{"d":null,"m":"declined","n":"Error"}`},
		"a caught fail": {`
- try: [{fail: {name: Odd, message: "no ${event.data.id}", data: {a: 1}}}]
  error: e
  catch: [{return: "${[e.name, e.message, e.data.a]}"}]`, nil, `["Odd","no 7",1]`},
		"a caught expression":   {`[{try: [{set: {x: "${event.data.gone}"}}], catch: [{return: "${error.name}"}]}]`, nil, `"ExpressionError"`},
		"an error in catch":     {`[{try: [{fail: a}], catch: [{fail: "${error.message}b"}]}]`, nil, `fails with Error: ab`},
		"an uncaught step":      {`[{id: pay, post: "http://b/pay"}]`, map[string]string{"pay": "error:declined"}, `fails with Error: declined`},
		"a wait that timed out": {`[{id: w, waitForEvent: {event: e, timeout: 1h}}, {return: "${steps.w == null}"}]`, nil, `true`},
		"a wait with its event": {`[{id: w, waitForEvent: {event: e, timeout: 1h}}, {return: "${steps.w.data.x}"}]`, map[string]string{"w": `{"data":{"x":5}}`}, `5`},
		"a dashed id":           {`[{id: a-b, sleep: 1s}, {return: "${steps[\"a-b\"]}"}]`, nil, `null`},
		"has":                   {`[{if: "false", then: [{id: a, sleep: 1s}]}, {return: "${has(steps.a)}"}]`, nil, `false`},
		"fetch: body":           {`[{id: f, fetch: {url: "https://x/y"}}, {return: "${steps.f.a}"}]`, map[string]string{"f": `{"status_code":200,"headers":{},"body":"{\"a\":[1]}","url":"u"}`}, `[1]`},
		"fetch: response":       {`[{id: f, fetch: {url: "https://x/y", output: response, expect: 404}}, {return: "${steps.f}"}]`, map[string]string{"f": `{"status_code":404,"headers":{"X-A":"b"},"body":"gone","url":"u"}`}, `{"body":"gone","headers":{"x-a":"b"},"status":404}`},
		"fetch: unexpected":     {`[{id: f, fetch: {url: "https://x/y"}}]`, map[string]string{"f": `{"status_code":404,"headers":{},"body":"not here","url":"u"}`}, `fails with HTTP 404: not here`},
	} {
		t.Run(name, func(t *testing.T) {
			out := finish(t, driver(t, c.program, &backend{}), newRun(event), c.server)
			if got := told(out); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if out.Failure != nil && !out.Failure.NoRetry {
				t.Errorf("the failure may be retried: %v", out.Failure)
			}
		})
	}
}

func TestProgram_plansWhatIsParallel(t *testing.T) {
	r := newRun(`{"data":{"list":[1,2,3,4,5]}}`)
	d := driver(t, `
- parallel:
  - {id: nap, sleep: 1h}
  - forEach: event.data.list
    parallel: 2
    do:
    - {id: one, get: "http://b/${item}"}
    - {id: two, get: "http://b/${item}"}
`, &backend{})
	expect := func(want string) []run.Step {
		t.Helper()
		out := d.Advance(t.Context(), r)
		if got := told(out); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		return out.Steps
	}
	done := func(s run.Step) { r.Memo[s.ID] = run.Memoised{Done: true, Data: []byte("1")} }
	steps := expect("wants Sleep nap, StepRun one, StepRun one")
	done(steps[2]) // the second iteration is ahead of the first
	steps = expect("wants Sleep nap, StepRun one, StepRun two")
	done(steps[2])
	steps = expect("wants Sleep nap, StepRun one, StepRun one")
	done(steps[1])
	done(steps[2])
	steps = expect("wants Sleep nap, StepRun two, StepRun two")
	done(steps[1])
	done(steps[2])
	steps = expect("wants Sleep nap, StepRun one, StepRun one")
	done(steps[0])
	done(steps[1])
	done(steps[2])
	steps = expect("wants StepRun two, StepRun two")
	done(steps[0])
	done(steps[1])
	expect("null")
}

func TestProgram_numbersRepeatedIDs(t *testing.T) {
	r := newRun(`{"data":{}}`)
	d := driver(t, `
- forEach: [1, 2]
  do:
  - {id: s, sleep: 1s}
- forEach: [1, 2]
  parallel: 5
  as: i
  do:
  - {id: p, sleep: 1s}
  - forEach: [1, 2]
    as: j
    do: [{id: ps, sleep: 1s}]
  - forEach: [1, 2]
    as: j
    parallel: 5
    do: [{id: pp, sleep: 1s}]
- forEach: [1, 2]
  as: i
  do:
  - forEach: [1, 2]
    as: j
    parallel: 5
    do: [{id: sp, sleep: 1s}]
`, &backend{})
	finish(t, d, r, nil)
	for _, id := range strings.Fields("s s:1 p p:1 ps:0 ps:0:1 ps:1 ps:1:1 pp:0 pp:0:1 pp:1 pp:1:1 sp:0 sp:0:1 sp:1 sp:1:1") {
		if _, ok := r.Memo[hash(id)]; !ok {
			t.Errorf("no step has the id %s", id)
		}
	}
	if len(r.Memo) != 16 {
		t.Errorf("%d steps, want 16", len(r.Memo))
	}
}

func TestProgram_stopsAtItsLimits(t *testing.T) {
	for name, c := range map[string]struct{ program, want string }{
		"steps":         {`[{forEach: "lists.range(1001)", parallel: 1000, do: [{id: a, sleep: 1s}, {id: b, sleep: 1s}]}]`, "more than 1000 steps"},
		"moves":         {`[{forEach: "lists.range(9000)", do: [{set: {a: 1}}, {set: {a: 2}}]}]`, "more than 10000 statements"},
		"a variable":    {`[{set: {a: x}}, {forEach: "lists.range(100)", do: [{set: {a: "${[vars.a, vars.a]}"}}]}]`, "longer than 1048576 bytes"},
		"a text":        {`[{set: {a: xxxxxxxx}}, {forEach: "lists.range(100)", do: [{set: {a: "${vars.a}${vars.a}"}}]}]`, "longer than 1048576 bytes"},
		"an expression": {`[{set: {a: "${lists.range(10000).filter(x, lists.range(10000).exists(y, y == x - 1))}"}}]`, "costs more"},
		"expressions":   {`[{forEach: "lists.range(9000)", do: [{set: {a: "${lists.range(4000).all(x, x >= 0)}"}}]}]`, "all expressions together"},
		"two of one id": {`[{forEach: [1], do: [{id: "a-${item}", sleep: 1s}, {id: "a-${item + 0}", sleep: 1s}]}]`, `have the same id "a-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			// A limit is not to be caught: what it bounds would go on.
			out := finish(t, driver(t, `[{try: `+c.program+`, catch: [{return: caught}]}]`, &backend{}), newRun(`{}`), nil)
			if out.Failure == nil || !strings.Contains(out.Failure.Message, c.want) || !out.Failure.NoRetry || out.Failure.Name != "LimitError" {
				t.Errorf("outcome %s, want a LimitError with %q", told(out), c.want)
			}
		})
	}
}
