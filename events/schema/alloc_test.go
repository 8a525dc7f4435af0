//go:build !race

package schema_test

import "testing"

// Most events have no schema: they must not pay.
func TestCheck_allocatesNothingForOtherEvents(t *testing.T) {
	set := compile(t, event("a", `{}`))
	name, version, data := []byte("shop/order.created"), []byte("2026-1"), []byte(`{"a":1}`)
	if n := testing.AllocsPerRun(100, func() {
		if set.Check(name, version, data) != nil || set.Has(name, version) {
			t.Fatal("found a schema")
		}
	}); n > 0 {
		t.Errorf("Check made %v allocations, want 0", n)
	}
}
