package expr

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// The rest of traits.Mapper.

// Contains implements traits.Container.
func (v *namesView) Contains(key ref.Val) ref.Val {
	_, found := v.Find(key)
	return types.Bool(found)
}

// Get implements traits.Indexer.
func (v *namesView) Get(key ref.Val) ref.Val {
	if value, found := v.Find(key); found {
		return value
	}
	return types.NewErr("no such key: %v", key)
}

// Size implements traits.Sizer.
func (v *namesView) Size() ref.Val { return v.whole().Size() }

// Iterator implements traits.Iterable.
func (v *namesView) Iterator() traits.Iterator { return v.whole().Iterator() }

// ConvertToNative implements ref.Val.
func (v *namesView) ConvertToNative(t reflect.Type) (any, error) { return v.whole().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (v *namesView) ConvertToType(t ref.Type) ref.Val { return v.whole().ConvertToType(t) }

// Equal implements ref.Val.
func (v *namesView) Equal(other ref.Val) ref.Val { return v.whole().Equal(other) }

// Type implements ref.Val.
func (v *namesView) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (v *namesView) Value() any { return v.whole().Value() }
