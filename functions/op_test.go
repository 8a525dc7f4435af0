package functions

import (
	"encoding/json"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestOpOf_tellsWhatTheIDIsTheHashOf(t *testing.T) {
	for name, c := range map[string]struct {
		step run.Step
		want string
	}{
		"once":     {run.Step{Name: "a"}, `{"id":"a"}`},
		"repeated": {run.Step{Name: "a", Userland: inngest.Userland{ID: "a", Index: 2}}, `{"id":"a","index":2}`},
		"nested":   {run.Step{Name: "a", Userland: inngest.Userland{ID: "a:1", Index: 2}}, `{"id":"a:1","index":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			op := opOf(&c.step)
			got, err := json.Marshal(op.Userland)
			if err != nil || string(got) != c.want || op.DisplayName != "a" {
				t.Errorf("userland = %s (%v), display name %q; want %s, a", got, err, op.DisplayName, c.want)
			}
		})
	}
}
