package expr

import (
	"sync/atomic"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A Meter bounds what several evaluations cost together.
type Meter struct{ left atomic.Int64 }

// NewMeter returns a meter of so many units: see Options.MaxCost.
func NewMeter(units int64) *Meter {
	m := &Meter{}
	m.left.Store(units)
	return m
}

func (m *Meter) empty() bool { return m != nil && m.left.Load() <= 0 }

func (m *Meter) take(cost *uint64) {
	if m != nil && cost != nil {
		m.left.Add(-int64(*cost))
	}
}

// costs says what calls cost that CEL counts as one unit, however large the
// values are.
type costs struct{}

// bytesPerUnit is what CEL itself reckons for texts.
const bytesPerUnit = 10

// CallCost implements CEL's cost.ActualCostEstimator. Nil means CEL's own count.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Add:
		if _, ok := result.(types.String); !ok {
			return nil
		}
		cost += size(result) / bytesPerUnit
	case "chunks", "merge", "sort", "@sortByAssociatedKeys", "flatten", "reverse", "slice", "lists.range", "join", "split":
		cost += size(result)
		for _, arg := range args {
			cost += size(arg)
		}
	case "distinct": // compares each with each
		cost += size(args[0]) * size(args[0])
	case "toJson", "fromJson", "replace", "format", "lowerAscii", "upperAscii", "trim", "substring", "indexOf", "lastIndexOf",
		"charAt", "strings.quote", "base64.encode", "base64.decode":
		cost += size(result) / bytesPerUnit
		for _, arg := range args {
			cost += size(arg) / bytesPerUnit
		}
	default:
		return nil
	}
	return &cost
}

// size returns bytes of a text and items of a list or an object, at no cost.
func size(v ref.Val) uint64 {
	switch x := v.(type) {
	case types.String:
		return uint64(len(x))
	case types.Bytes:
		return uint64(len(x))
	case traits.Sizer:
		if n, ok := x.Size().(types.Int); ok && n > 0 {
			return uint64(n)
		}
	}
	return 0
}
