//go:build !race

package inngest_test

import (
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestScanIdentity_allocatesTheKeptTextsAlone(t *testing.T) {
	body := recorded.One(t, 12).Request.Body
	if n := testing.AllocsPerRun(100, func() { inngest.ScanIdentity(body) }); n > 1 {
		t.Errorf("ScanIdentity made %v allocations, want 1", n)
	}
	broken := []byte(`{"ctx":{"run_id":1}}`)
	if n := testing.AllocsPerRun(100, func() { inngest.ScanIdentity(broken) }); n > 0 {
		t.Errorf("ScanIdentity made %v allocations for a body that it cannot read, want 0", n)
	}
}
