package expr

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/stdlib"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/parser"
)

// dialect returns what makes an environment of the language: CEL's standard
// library with arithmetic over mixed numbers, extensions, our own functions.
func dialect() ([]cel.EnvOption, error) {
	options := []cel.EnvOption{
		cel.Macros(parser.AllMacros...),
		cel.CustomTypeAdapter(adapter{}),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxText),
		cel.ParserRecursionLimit(maxRecursion),
		cel.VariableDecls(stdlib.Types()...),
	}
	for _, fn := range stdlib.Functions() {
		if op := mixed(fn.Name()); op != nil {
			var err error
			if fn, err = withMixed(fn, op); err != nil {
				return nil, err
			}
		}
		options = append(options, declare(fn))
	}
	options = append(options, ext.Strings(), ext.Math(), ext.Lists(ext.ListsMaxRangeSize(10_000)), ext.Encoders())
	return append(options, ownFunctions()...), nil
}

func declare(fn *decls.FunctionDecl) cel.EnvOption {
	return cel.Function(fn.Name(), func(*decls.FunctionDecl) (*decls.FunctionDecl, error) { return fn, nil })
}

// An arithmetic is an operator of two numbers.
type arithmetic struct {
	overload string
	trait    int
	apply    functions.BinaryOp
}

func mixed(name string) *arithmetic {
	switch name {
	case operators.Add:
		return &arithmetic{"add", traits.AdderType, func(a, b ref.Val) ref.Val { return a.(traits.Adder).Add(b) }}
	case operators.Subtract:
		return &arithmetic{"subtract", traits.SubtractorType, func(a, b ref.Val) ref.Val { return a.(traits.Subtractor).Subtract(b) }}
	case operators.Multiply:
		return &arithmetic{"multiply", traits.MultiplierType, func(a, b ref.Val) ref.Val { return a.(traits.Multiplier).Multiply(b) }}
	case operators.Divide:
		return &arithmetic{"divide", traits.DividerType, divide}
	}
	return nil
}

// withMixed returns the standard operator that also takes an int and a double.
func withMixed(fn *decls.FunctionDecl, op *arithmetic) (*decls.FunctionDecl, error) {
	var options []decls.FunctionOpt
	for _, o := range fn.OverloadDecls() {
		result := o.ResultType()
		if o.ID() == overloads.DivideInt64 {
			result = types.DynType
		}
		options = append(options, decls.Overload(o.ID(), o.ArgTypes(), result))
	}
	options = append(options,
		decls.Overload(op.overload+"_int64_double", []*types.Type{types.IntType, types.DoubleType}, types.DoubleType),
		decls.Overload(op.overload+"_double_int64", []*types.Type{types.DoubleType, types.IntType}, types.DoubleType),
		decls.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
			switch x := a.(type) {
			case types.Int:
				if _, ok := b.(types.Double); ok {
					a = types.Double(x)
				}
			case types.Double:
				if y, ok := b.(types.Int); ok {
					b = types.Double(y)
				}
			}
			return op.apply(a, b)
		}, op.trait))
	return decls.NewFunction(fn.Name(), options...)
}

// divide gives 2.5 for 5 / 2, where CEL gives 2: whether a number of JSON is
// whole is chance, and must not decide how it is divided.
func divide(a, b ref.Val) ref.Val {
	x, ok := a.(types.Int)
	y, also := b.(types.Int)
	if ok && also && y != 0 && x%y != 0 {
		return types.Double(x) / types.Double(y)
	}
	return a.(traits.Divider).Divide(b)
}

func ownFunctions() []cel.EnvOption {
	list, object := cel.ListType(cel.DynType), cel.MapType(cel.StringType, cel.DynType)
	return []cel.EnvOption{
		cel.Function("chunks", cel.Overload("chunks_list_int", []*cel.Type{list, cel.IntType}, cel.ListType(list),
			cel.BinaryBinding(chunks))),
		cel.Function("merge", cel.Overload("merge_map_map", []*cel.Type{object, object}, object,
			cel.BinaryBinding(merge))),
		cel.Function("toJson", cel.Overload("to_json_dyn", []*cel.Type{cel.DynType}, cel.StringType,
			cel.UnaryBinding(toJSON))),
		cel.Function("fromJson", cel.Overload("from_json_string", []*cel.Type{cel.StringType}, cel.DynType,
			cel.UnaryBinding(fromJSON))),
	}
}

func chunks(a, b ref.Val) ref.Val {
	list, ok := a.(traits.Lister)
	n, isInt := b.(types.Int)
	if !ok || !isInt {
		return types.MaybeNoSuchOverloadErr(a)
	}
	if n < 1 {
		return types.NewErr("chunks: a length of %d", n)
	}
	var all []ref.Val
	it := list.Iterator()
	for it.HasNext() == types.True {
		all = append(all, it.Next())
	}
	parts := []ref.Val{}
	for part := range slices.Chunk(all, int(n)) {
		parts = append(parts, types.NewRefValList(adapter{}, part))
	}
	return types.NewRefValList(adapter{}, parts)
}

func merge(a, b ref.Val) ref.Val {
	members := map[string]any{}
	for _, v := range []ref.Val{a, b} {
		m, ok := v.(traits.Mapper)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		it := m.Iterator()
		for it.HasNext() == types.True {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(key)
			}
			members[string(name)] = m.Get(key)
		}
	}
	return newObject(members)
}

// maxFunctionJSON bounds what toJson writes: as much as a step may give.
const maxFunctionJSON = 4 << 20

func toJSON(v ref.Val) ref.Val {
	text, err := Value{v}.JSON(maxFunctionJSON)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(text)
}

func fromJSON(v ref.Val) ref.Val {
	text, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	out, err := decode([]byte(text))
	if err != nil {
		return types.NewErr("fromJson: %v", err)
	}
	return out
}
