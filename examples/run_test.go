package examples

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

type object = map[string]any

// A dev is a gateway with a development server that serves one example.
type dev struct {
	*gateway.Dev
	t   *testing.T
	out *output
}

// An output holds what is told, and may be read while it is written.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// serve starts a gateway for an example whose backend has another port here.
func serve(t *testing.T, file, port, ownPort string, settings ...string) *dev {
	t.Helper()
	yaml := strings.ReplaceAll(text(t, file), "127.0.0.1:"+ownPort, "127.0.0.1:"+port)
	here := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(here, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &dev{t: t, out: &output{}}
	environ := append([]string{
		"GATEWAY_LISTEN__INNGEST=127.0.0.1:0", "GATEWAY_LISTEN__APPS=127.0.0.1:0", "GATEWAY_LISTEN__ADMIN=127.0.0.1:0",
	}, settings...)
	var err error
	d.Dev, err = gateway.NewDev(gateway.DevOptions{
		Sources: config.Sources{File: here, Env: environ}, Listen: "127.0.0.1:0", Version: "v0.0.0", Out: d.out, LogTo: testLog{t}, Terse: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("gateway: %v", err)
		}
		if t.Failed() {
			t.Logf("timeline:\n%s", d.out)
		}
	})
	return d
}

// run runs the function once.
func (d *dev) run(function string, data any) devserver.Run {
	d.t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run, err := d.Invoke(ctx, function, "", raw)
	if err != nil {
		d.t.Fatalf("%s: %v", function, err)
	}
	return run
}

// wants runs the function and compares its result.
func (d *dev) wants(function string, data, want any) devserver.Run {
	d.t.Helper()
	run := d.run(function, data)
	if run.Status != devserver.Completed {
		d.t.Fatalf("%s is %s: %s", function, run.Status, run.Error)
	}
	d.same(function, run.Output, want)
	return run
}

func (d *dev) same(what string, got json.RawMessage, want any) {
	d.t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		d.t.Fatal(err)
	}
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(text, &w) != nil {
		d.t.Fatalf("%s = %s, want %s", what, got, text)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// each runs a test with checkpoints and without: nothing may differ but the
// number of calls.
func each(t *testing.T, test func(t *testing.T, settings ...string)) {
	t.Run("with checkpoints", func(t *testing.T) { test(t) })
	t.Run("without", func(t *testing.T) { test(t, "GATEWAY_FUNCTION_APPS__0__CHECKPOINT__ENABLED=false") })
}

func TestOrder_takesEveryBranch(t *testing.T) {
	needs(t, "python3")
	port := start(t, "python3", "order/backend.py")
	each(t, func(t *testing.T, settings ...string) {
		d := serve(t, "order/order.yaml", port, "9001", settings...)
		order := func(amount int, items ...string) object {
			return object{"orderId": "o/1", "customerId": "c-1", "amount": amount, "items": items}
		}
		d.wants("process-order", order(120, "book"), object{"status": "confirmed", "paymentId": "pay-o/1"})
		d.wants("process-order", order(120, "book", "unicorn"), object{"status": "out-of-stock"})
		d.wants("process-order", order(2000, "book"), object{"status": "payment-failed", "reason": "the card was declined"})
		run := d.run("process-order", object{"orderId": "o-1", "customerId": "c-1", "amount": 1, "items": []string{}})
		if run.Status != devserver.Failed || !strings.Contains(string(run.Error), "the order is empty") {
			t.Errorf("an empty order is %s: %s", run.Status, run.Error)
		}
	})
}

func TestBulk_makesOneStepOfEachChunk(t *testing.T) {
	needs(t, "node")
	port := start(t, "node", "bulk/backend.mjs")
	each(t, func(t *testing.T, settings ...string) {
		d := serve(t, "bulk/bulk.yaml", port, "9002", settings...)
		items := make([]int, 250)
		run := d.wants("process-bulk", object{"tenant": "t-1", "items": items}, object{"chunks": 3, "processed": 250})
		if len(run.Steps) != 5 {
			t.Errorf("%d steps, want 3 chunks and 2 pauses", len(run.Steps))
		}
		d.wants("process-bulk", object{"tenant": "t-1", "items": []int{}}, object{"chunks": 0, "processed": 0})
	})
}

func TestCleanup_reportsWhatItRemoved(t *testing.T) {
	port := startGo(t, "cleanup")
	each(t, func(t *testing.T, settings ...string) {
		d := serve(t, "cleanup/cleanup.yaml", port, "9003", settings...)
		d.wants("daily-cleanup", object{}, object{"report": "report-1", "removed": 15})
	})
}

func TestHealth_alertsOnlyWhenUnwell(t *testing.T) {
	needs(t, "bash")
	dir := t.TempDir()
	unwell, alerts := filepath.Join(dir, "unwell"), filepath.Join(dir, "alerts")
	port := startScript(t, "health/backend.sh", "UNWELL="+unwell, "ALERTS="+alerts)
	d := serve(t, "health/health.yaml", port, "9004")
	d.wants("health-check", object{}, object{"healthy": true})
	if err := os.WriteFile(unwell, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.wants("health-check", object{}, object{"healthy": false, "alert": "alert-1"})
	if got := text(t, alerts); got != `{"reason":"the disk is full","service":"shop"}`+"\n" {
		t.Errorf("alerts = %q", got)
	}
}

// One conversation, whatever the language of its backend.
func TestConversation_isTheSameInEveryLanguage(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) string{
		"Python": func(t *testing.T) string { needs(t, "python3"); return start(t, "python3", "conversation/order.py") },
		"Node":   func(t *testing.T) string { needs(t, "node"); return start(t, "node", "conversation/order.mjs") },
		"Go":     func(t *testing.T) string { return startGo(t, "conversation/go") },
		"Bash":   func(t *testing.T) string { needs(t, "bash", "jq"); return startScript(t, "conversation/order.sh") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := begin(t)
			each(t, func(t *testing.T, settings ...string) {
				d := serve(t, "conversation/conversation.yaml", port, "9101", settings...)
				run := d.run("conversation", object{"amount": 120})
				if run.Status != devserver.Completed {
					t.Fatalf("run is %s: %s", run.Status, run.Error)
				}
				d.same("result", run.Output, object{"status": "shipped", "charge": "charge-" + run.ID})
				if len(run.Steps) != 4 {
					t.Errorf("%d steps, want charge, settle, mail and ship", len(run.Steps))
				}
				d.wants("conversation", object{"amount": 2000}, object{"status": "declined", "reason": "the card was declined"})
			})
		})
	}
}
