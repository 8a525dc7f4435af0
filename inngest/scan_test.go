package inngest_test

import (
	"encoding/json"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestScanIdentity_agreesWithEveryRecordedCall(t *testing.T) {
	calls := 0
	for _, x := range recorded.Load(t) {
		var want inngest.CallRequest
		if x.Direction != recorded.ToApp || json.Unmarshal(x.Request.Body, &want) != nil || want.Ctx.RunID == "" {
			if got, ok := inngest.ScanIdentity(x.Request.Body); ok {
				t.Errorf("%s: ScanIdentity = %+v for a request that is no call", x.Name, got)
			}
			continue
		}
		calls++
		got, ok := inngest.ScanIdentity(x.Request.Body)
		if !ok || got != want.Identity() {
			t.Errorf("%s: ScanIdentity = %+v, %v, want %+v", x.Name, got, ok, want.Identity())
		}
	}
	if calls < 60 {
		t.Errorf("only %d recorded calls", calls)
	}
}
