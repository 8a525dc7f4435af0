package expr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A Value is what an expression gives, or what a name stands for. The zero
// Value is null.
type Value struct{ v any } // ref.Val, *lazy, or what adapter takes

// Raw returns the value of a JSON text. It is parsed when it is first used; a
// text that is no JSON is an error of the expression that uses it. Empty means
// null.
func Raw(text json.RawMessage) Value {
	if len(text) == 0 {
		return Value{types.NullValue}
	}
	return Value{&lazy{text: text}}
}

// String returns a string as a Value.
func String(s string) Value { return Value{types.String(s)} }

// Int returns a number as a Value.
func Int(n int) Value { return Value{types.Int(n)} }

// Null returns the null Value.
func Null() Value { return Value{types.NullValue} }

// List returns a list of values.
func List(items []Value) Value {
	all := make([]any, len(items))
	for i := range items {
		all[i] = items[i].v
	}
	return Value{types.NewDynamicList(adapter{}, all)}
}

// Object returns an object with these members.
func Object(members map[string]Value) Value {
	all := make(map[string]any, len(members))
	for name, v := range members {
		all[name] = v.v
	}
	return Value{newObject(all)}
}

func (v Value) ref() ref.Val { return adapter{}.NativeToValue(v.v) }

// IsNull tells whether the value is null.
func (v Value) IsNull() bool { return v.ref() == types.NullValue }

// Bool returns a truth value.
func (v Value) Bool() (bool, bool) {
	b, ok := v.ref().(types.Bool)
	return bool(b), ok
}

// Text returns a string.
func (v Value) Text() (string, bool) {
	s, ok := v.ref().(types.String)
	return string(s), ok
}

// Int returns a whole number.
func (v Value) Int() (int64, bool) {
	n, ok := v.ref().(types.Int)
	return int64(n), ok
}

// Time returns a timestamp.
func (v Value) Time() (time.Time, bool) {
	t, ok := v.ref().(types.Timestamp)
	return t.Time, ok
}

// Duration returns a duration.
func (v Value) Duration() (time.Duration, bool) {
	d, ok := v.ref().(types.Duration)
	return d.Duration, ok
}

// Items returns the items of a list.
func (v Value) Items() ([]Value, bool) {
	list, ok := v.ref().(traits.Lister)
	if !ok {
		return nil, false
	}
	items := []Value{}
	it := list.Iterator()
	for it.HasNext() == types.True {
		items = append(items, Value{it.Next()})
	}
	return items, true
}

// Equal tells whether two values are equal as CEL has it: 1 and 1.0 are.
func (v Value) Equal(other Value) bool { return types.Equal(v.ref(), other.ref()) == types.True }

// Kind names the value's type for people.
func (v Value) Kind() string {
	switch x := v.ref().(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return "true or false"
	case types.Int, types.Uint, types.Double:
		return "a number"
	case types.String:
		return "a text"
	case traits.Lister:
		return "a list"
	case traits.Mapper:
		return "an object"
	case *types.Err:
		return x.String()
	default:
		return "a " + x.Type().TypeName()
	}
}

// JSON writes the value. Times and durations become texts (RFC 3339; "90s"),
// bytes become base64. It is an *EvalError if the value has no JSON or is
// longer than most bytes.
func (v Value) JSON(most int) (json.RawMessage, error) {
	w := writer{most: most}
	if err := w.write(v.ref(), 0); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

// Plain returns the value as it stands within a text: a string as it is, null as
// nothing, everything else as JSON.
func (v Value) Plain(most int) (string, error) {
	switch x := v.ref().(type) {
	case types.String:
		return string(x), nil
	case types.Null:
		return "", nil
	case types.Timestamp, types.Duration, types.Bytes:
		text, err := Value{x}.JSON(most)
		if err != nil {
			return "", err
		}
		return string(text[1 : len(text)-1]), nil // a text without anything to escape
	default:
		text, err := Value{x}.JSON(most)
		return string(text), err
	}
}

type writer struct {
	out  bytes.Buffer
	most int
}

const maxNesting = 1000

func (w *writer) write(v ref.Val, depth int) error {
	if depth > maxNesting {
		return &EvalError{Message: fmt.Sprintf("the value is nested deeper than %d", maxNesting), Limit: true}
	}
	var err error
	switch x := v.(type) {
	case types.Null:
		w.out.WriteString("null")
	case types.Bool:
		w.out.WriteString(strconv.FormatBool(bool(x)))
	case types.Int:
		w.out.WriteString(strconv.FormatInt(int64(x), 10))
	case types.Uint:
		w.out.WriteString(strconv.FormatUint(uint64(x), 10))
	case types.Double:
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return &EvalError{Message: "the number is not finite: no JSON"}
		}
		err = w.native(float64(x))
	case types.String:
		err = w.native(string(x))
	case types.Bytes:
		err = w.native(base64.StdEncoding.EncodeToString(x))
	case types.Timestamp:
		err = w.native(x.UTC().Format(time.RFC3339Nano))
	case types.Duration:
		err = w.native(x.Duration.String())
	case traits.Lister:
		err = w.list(x, depth)
	case traits.Mapper:
		err = w.object(x, depth)
	case *types.Err:
		return &EvalError{Message: x.String()}
	default:
		return &EvalError{Message: fmt.Sprintf("a value of type %s: no JSON", v.Type().TypeName())}
	}
	if err == nil && w.out.Len() > w.most {
		return &EvalError{Message: fmt.Sprintf("the value is longer than %d bytes as JSON", w.most), Limit: true}
	}
	return err
}

func (w *writer) native(v any) error {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return &EvalError{Message: err.Error()}
	}
	w.out.Truncate(w.out.Len() - 1) // the line feed
	return nil
}

func (w *writer) list(list traits.Lister, depth int) error {
	w.out.WriteByte('[')
	it := list.Iterator()
	for first := true; it.HasNext() == types.True; first = false {
		if !first {
			w.out.WriteByte(',')
		}
		if err := w.write(it.Next(), depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *writer) object(m traits.Mapper, depth int) error {
	w.out.WriteByte('{')
	keys := sortedKeys(m)
	for i, key := range keys {
		name, ok := key.(types.String)
		if !ok {
			return &EvalError{Message: "an object has a name that is no text: no JSON"}
		}
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.native(string(name)); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.write(m.Get(key), depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

// A lazy is JSON that nobody has looked at yet.
type lazy struct {
	text  json.RawMessage
	once  sync.Once
	value ref.Val
}

func (l *lazy) get() ref.Val {
	l.once.Do(func() {
		v, err := decode(l.text)
		if err != nil {
			v = types.WrapErr(err)
		}
		l.value = v
	})
	return l.value
}

// decode reads JSON.
func decode(text []byte) (ref.Val, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("no JSON: %w", err)
	}
	return adapter{}.NativeToValue(v), nil
}

// maxExact is the largest whole number below which all are told apart by JSON.
const maxExact = 1 << 53

// number returns a number of JSON: an int if it is whole, however it was
// written. Inngest gives back what a step gave in canonical JSON, in which 5.0
// is 5 and no number is larger than its double: a run must not see two numbers.
func number(f float64) ref.Val {
	if f == math.Trunc(f) && math.Abs(f) <= maxExact {
		return types.Int(int64(f))
	}
	return types.Double(f)
}

// An adapter makes values of CEL of what decoders give.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch x := v.(type) {
	case nil:
		return types.NullValue
	case ref.Val:
		return x
	case *lazy:
		return x.get()
	case Value:
		return a.NativeToValue(x.v)
	case float64:
		return number(x)
	case float32:
		return number(float64(x))
	case uint64:
		return number(float64(x))
	case uint:
		return number(float64(x))
	case map[string]any:
		return newObject(x)
	case []any:
		return types.NewDynamicList(a, x)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

func sortedKeys(m traits.Mapper) []ref.Val {
	var keys []ref.Val
	it := m.Iterator()
	for it.HasNext() == types.True {
		keys = append(keys, it.Next())
	}
	if _, sorted := m.(*object); sorted {
		return keys
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}
