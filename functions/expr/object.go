package expr

import (
	"cmp"
	"maps"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// An object is a map whose keys are met in order. CEL's own maps are Go's and
// have none, and a run that is interpreted twice must see the same twice.
type object struct {
	traits.Mapper
}

func newObject(members map[string]any) *object {
	return &object{types.NewStringInterfaceMap(adapter{}, members)}
}

// Iterator implements traits.Iterable.
func (o *object) Iterator() traits.Iterator {
	var keys []ref.Val
	it := o.Mapper.Iterator()
	for it.HasNext() == types.True {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return types.NewRefValList(adapter{}, keys).Iterator()
}

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	if x, ok := other.(*object); ok {
		other = x.Mapper
	}
	return o.Mapper.Equal(other)
}

// compareKeys orders texts by their bytes, and what is none by type and text.
func compareKeys(a, b ref.Val) int {
	x, ok := a.(types.String)
	y, also := b.(types.String)
	if ok && also {
		return cmp.Compare(x, y)
	}
	if n := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); n != 0 {
		return n
	}
	if c, ok := a.(traits.Comparer); ok {
		if n, ok := c.Compare(b).(types.Int); ok {
			return int(n)
		}
	}
	return 0
}

// sortMapLiterals makes objects of the maps that an expression writes out.
func sortMapLiterals(i interpreter.Interpretable) (interpreter.Interpretable, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return &sortedLiteral{c}, nil
	}
	return i, nil
}

type sortedLiteral struct {
	interpreter.InterpretableConstructor
}

// Eval implements interpreter.Interpretable.
func (l *sortedLiteral) Eval(vars interpreter.Activation) ref.Val {
	return sorted(l.InterpretableConstructor.Eval(vars))
}

// Exec implements interpreter.InterpretableV2.
func (l *sortedLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return sorted(l.InterpretableConstructor.Exec(frame))
}

func sorted(v ref.Val) ref.Val {
	if m, ok := v.(traits.Mapper); ok {
		return &object{m}
	}
	return v
}

// Names is an object whose members are added as they become known. It may stand
// on another one: then it shows the members of that too, and hides those that
// it has itself. It is not safe for concurrent use.
type Names struct {
	below   *Names
	members map[string]Value
}

// NewNames returns an empty object that stands on below, which may be nil.
func NewNames(below *Names) *Names { return &Names{below: below, members: map[string]Value{}} }

// Set adds or replaces a member.
func (n *Names) Set(name string, v Value) { n.members[name] = v }

// Get returns a member that the object itself has.
func (n *Names) Get(name string) (Value, bool) {
	v, ok := n.members[name]
	return v, ok
}

// Take adds the other's own members.
func (n *Names) Take(other *Names) { maps.Copy(n.members, other.members) }

// Value returns the object as it is at the time of use.
func (n *Names) Value() Value { return Value{&namesView{n}} }

// A namesView shows Names to an expression. Only single members are ever asked
// for (see Expr.Members), so it need not be quick at anything else.
type namesView struct{ names *Names }

func (v *namesView) find(name string) (ref.Val, bool) {
	for n := v.names; n != nil; n = n.below {
		if value, ok := n.members[name]; ok {
			return value.ref(), true
		}
	}
	return nil, false
}

func (v *namesView) whole() *object {
	all := map[string]any{}
	for n := v.names; n != nil; n = n.below {
		for name, value := range n.members {
			if _, hidden := all[name]; !hidden {
				all[name] = value.v
			}
		}
	}
	return newObject(all)
}

// Find implements traits.Mapper.
func (v *namesView) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	return v.find(string(name))
}
