package gateway

import (
	"errors"
	"fmt"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// Apps may send events, and operators may ask for dead letters, before the spool
// is open.
func TestSpool_refusesUntilItIsOpen(t *testing.T) {
	cfg := load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", fmt.Sprintf("state_dir: %q", t.TempDir())))
	g, err := New(Options{Config: cfg, Version: "test", LogTo: &watchedLog{}})
	if err != nil {
		t.Fatal(err)
	}
	r := spool.Record{KeyID: "k", Seed: "1700000000000,MDEyMzQ1Njc4OQ==", Count: 1, Body: []byte(`[{"name":"a"}]`)}
	if err := (openedSpool{g.spool, &g.spoolOpen}).Append(t.Context(), r); !errors.Is(err, errSpoolNotOpen) {
		t.Errorf("Append = %v", err)
	}
	for name, control := range g.letterControls() {
		if _, err := control(t.Context(), []byte(`{"limit":1}`)); !errors.Is(err, errSpoolNotOpen) {
			t.Errorf("%s = %v", name, err)
		}
	}
}
