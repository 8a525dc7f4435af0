package gateway

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

func TestTeller_alignsColumns(t *testing.T) {
	var out bytes.Buffer
	tell := newTeller(&out, false)
	at := func(ms int) time.Time { return tell.started.Add(time.Duration(ms) * time.Millisecond) }
	for range 2 { // it is told once
		tell.registered([]devserver.App{{Name: "shop", Functions: []devserver.Function{{Slug: "shop-a"}, {Slug: "shop-send-the-monthly-report"}}}})
	}
	tell.step(devserver.StepEvent{At: at(7), Function: "shop-a", Op: "RunStarted"})
	tell.step(devserver.StepEvent{At: at(1234), Function: "shop-send-the-monthly-report", Step: "charge", Op: "StepError", Attempt: 1, Error: "card\nrefused\x1b[31m"})
	tell.step(devserver.StepEvent{At: at(123456789), Function: "shop-a", Step: "größe", Op: "StepRun"})
	tell.step(devserver.StepEvent{At: at(2), Function: "shop-a", Step: "a step with a long name", Op: "InvokeFunction", Attempt: 20})
	tell.step(devserver.StepEvent{At: at(2), Function: "shop-a", Op: "RunCompleted"})
	want := strings.TrimPrefix(`
shop is registered: shop-a, shop-send-the-monthly-report
+     7 ms  shop-a                        -           RunStarted    attempt 1
+  1234 ms  shop-send-the-monthly-report  charge      StepError     attempt 2  card refused[31m
+123456789 ms  shop-a                        größe       StepRun       attempt 1
+     2 ms  shop-a                        a step with a long name  InvokeFunction  attempt 21
+     2 ms  shop-a                        -                        RunCompleted    attempt 1
`, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestOneLine_keepsTextsOfAppsHarmless(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":              {"charge card", "charge card"},
		"several lines":      {" a\r\n\tb\n", "a b"},
		"terminal sequences": {"\x1b]0;title\x07 \u009b31mred\x7f", "]0;title 31mred"},
		"letters":            {"größe 大", "größe 大"},
		"long":               {strings.Repeat("ä", 301), strings.Repeat("ä", 300) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := oneLine(c.text); got != c.want {
				t.Errorf("oneLine(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}
