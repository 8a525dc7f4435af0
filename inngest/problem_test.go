package inngest_test

import (
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestProblem_hasTheCauseFirst(t *testing.T) {
	got := string(inngest.Problem{
		Detail:  "<shop> & co. refused the connection; Inngest will call again in 1m0s.",
		Status:  503,
		Code:    inngest.CodeUpstreamRefused,
		Limit:   "8MiB",
		Setting: "limits.body",
	}.Body())
	want := `{"detail":"<shop> & co. refused the connection; Inngest will call again in 1m0s.","status":503,` +
		`"code":"upstream_refused","limit":"8MiB","setting":"limits.body"}`
	if got != want {
		t.Errorf("Body = %s, want %s", got, want)
	}
}
