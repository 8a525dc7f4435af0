package devserver

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// matcher evaluates the CEL expressions of triggers, waits, cancellations and
// keys. They see "event" (what started the run) and "async" (what came in).
type matcher struct {
	env      func() (*cel.Env, error) // made when it is first needed: it takes milliseconds
	mu       sync.Mutex
	programs map[string]cel.Program
}

func newMatcher() *matcher {
	return &matcher{programs: map[string]cel.Program{}, env: sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(
			cel.Variable("event", cel.DynType),
			cel.Variable("async", cel.DynType),
			cel.CrossTypeNumericComparisons(true),
			cel.OptionalTypes(),
		)
	})}
}

// check tells whether an expression compiles.
func (m *matcher) check(expr string) error {
	_, err := m.program(expr)
	return err
}

func (m *matcher) program(expr string) (cel.Program, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.programs[expr]; ok {
		return p, nil
	}
	env, err := m.env()
	if err != nil {
		return nil, fmt.Errorf("environment of expressions: %w", err)
	}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, fmt.Errorf("expression %q: %w", expr, issues.Err())
	}
	p, err := env.Program(ast)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", expr, err)
	}
	m.programs[expr] = p
	return p, nil
}

// matches evaluates an expression to true or not; an empty one is true, one
// that cannot be evaluated on these events is not.
func (m *matcher) matches(expr string, ev, async *event) bool {
	if expr == "" {
		return true
	}
	v, err := m.eval(expr, ev, async)
	return err == nil && v == types.True
}

// key evaluates an expression to the text that limits count by.
func (m *matcher) key(expr string, ev *event) string {
	if expr == "" {
		return ""
	}
	v, err := m.eval(expr, ev, nil)
	if err != nil {
		return ""
	}
	if s, ok := v.Value().(string); ok {
		return s
	}
	native, err := v.ConvertToNative(reflect.TypeFor[any]())
	if err != nil {
		return fmt.Sprint(v.Value())
	}
	text, err := json.Marshal(native)
	if err != nil {
		return fmt.Sprint(v.Value())
	}
	return string(text)
}

func (m *matcher) eval(expr string, ev, async *event) (ref.Val, error) {
	p, err := m.program(expr)
	if err != nil {
		return nil, err
	}
	// What is not there reads as null, as on the server, but has() must still
	// see that it is not there: so only if the expression fails otherwise.
	v, _, err := p.Eval(vars(ev, async, false))
	if err != nil {
		v, _, err = p.Eval(vars(ev, async, true))
	}
	return v, err
}

func vars(ev, async *event, lenient bool) map[string]any {
	out := map[string]any{"event": types.NullValue, "async": types.NullValue}
	if ev != nil {
		out["event"] = celValue(ev.inCall(), lenient)
	}
	if async != nil {
		out["async"] = celValue(async.inCall(), lenient)
	}
	return out
}

// celValue turns decoded JSON into CEL values. Whole numbers are ints, so that
// event.data.n + 1 works.
func celValue(v any, lenient bool) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		entries := make(map[string]any, len(v))
		for k, e := range v {
			entries[k] = celValue(e, lenient)
		}
		m := types.NewStringInterfaceMap(types.DefaultTypeAdapter, entries)
		if lenient {
			return lenientMap{m}
		}
		return m
	case []any:
		list := make([]ref.Val, len(v))
		for i, e := range v {
			list[i] = celValue(e, lenient)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return types.Int(v)
		}
		return types.Double(v)
	case int64:
		return types.Int(v)
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = e
		}
		return celValue(m, lenient)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// lenientMap is a map in which every key is there, with null if nothing else.
type lenientMap struct{ traits.Mapper }

func (m lenientMap) Get(key ref.Val) ref.Val {
	if v, ok := m.Mapper.Find(key); ok {
		return v
	}
	return types.NullValue
}

func (m lenientMap) Find(key ref.Val) (ref.Val, bool) {
	return m.Get(key), true
}

// nameMatches tells whether a trigger's event name fits: they are equal, or
// the trigger ends in a wildcard after a "/" or a "." of the name.
func nameMatches(trigger, name string) bool {
	if trigger == name {
		return true
	}
	prefix, ok := strings.CutSuffix(trigger, "*")
	if !ok || prefix == "" || !strings.HasPrefix(name, prefix) {
		return false
	}
	last := prefix[len(prefix)-1]
	return last == '/' || last == '.'
}
