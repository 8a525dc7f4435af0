package events

import (
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
)

func TestChains_continueForAMoment(t *testing.T) {
	var c chains
	now := time.UnixMilli(1_800_000_000_000)
	a, b := deliver.Destination{KeyID: "a"}, deliver.Destination{KeyID: "b"}
	first := c.seed(a, 3, now)
	other := c.seed(b, 1, now)
	second := c.seed(a, 2, now.Add(chainFor-1))
	if want := first.From(4); second != want {
		t.Errorf("the second seed is %v, want %v", second, want)
	}
	if second.ID(1) != first.ID(4) || first.Millis != uint64(now.UnixMilli()) {
		t.Errorf("ids do not continue: %s, %s", first.ID(3), second.ID(1))
	}
	if other.Entropy == first.Entropy {
		t.Error("two destinations share a chain")
	}
	for name, at := range map[string]time.Time{"later": now.Add(chainFor), "a clock set back": now.Add(-time.Hour)} {
		c := chains{}
		c.seed(a, 3, now)
		if got := c.seed(a, 1, at); got.Entropy == first.From(4).Entropy || got.Millis != uint64(at.UnixMilli()) {
			t.Errorf("%s: the chain goes on: %v", name, got)
		}
	}
}
