package functions_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// registrar posts registrations to a devserver.
type registrar struct{ api *apiClient }

func (r registrar) Register(ctx context.Context, reg apps.Registration) (apps.Result, error) {
	status, body, err := r.api.Ask(ctx, http.MethodPost, "/fn/register?"+reg.Query, reg.Body)
	return apps.Result{Status: status, Body: body}, err
}

// The registry of apps syncs a host like any other app: it asks in band, and
// tells a server that wants registrations what the host answered.
func TestHost_isRegisteredByTheRegistryOfApps(t *testing.T) {
	for name, dialect := range map[string]devserver.Dialect{"at a server that wants registrations": devserver.Register, "in band": devserver.InBandOnly} {
		t.Run(name, func(t *testing.T) {
			k := tenSteps()
			w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
			dev := newWorld(t, setup{dev: func(o *devserver.Options) { o.Dialect = dialect }}, function("other", k.conversation(t), true, 3))
			w.api.base = dev.devURL // checkpoints go where calls come from
			memory, err := budget.New(budget.Options{Max: 64 << 20, Reserve: 1 << 20, Wait: time.Second, Metrics: w.metrics.Budget})
			if err != nil {
				t.Fatal(err)
			}
			registry, err := apps.New(apps.Options{
				Apps: []apps.App{{
					ID: "shop", Path: "/api/functions", UpstreamPath: "/api/functions", Callee: w.front.host, Mode: apps.Strip,
					Keys: signature.Keyring{Current: parseKey(t)}, UnsignedSync: apps.UnsignedHint,
				}},
				Inngest: registrar{dev.api}, Dialect: apps.DialectAuto, PublicURL: w.origin(), Timeout: 5 * time.Second,
				Tolerance: time.Minute, MaxCanonical: 8 << 20, MaxAnswer: 8 << 20, Budget: memory, Now: time.Now,
				Metrics: w.metrics.Apps, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			put := apps.Put{App: "shop", Signed: true, Body: []byte(`{"url":"http://elsewhere/api/functions"}`)}
			if dialect == devserver.InBandOnly {
				put.SyncKind = inngest.SyncInBand
			}
			a, err := registry.Put(soon(t), put)
			if err != nil || a.Status != http.StatusOK {
				t.Fatalf("Put = %v, %v", a, err)
			}
			if dialect == devserver.Register {
				event := dev.send("t/ten", m{})
				completed(t, dev.wait(event), `{"sum":55}`)
				if app := dev.dev.Apps()[0]; app.SDK != "gateway:v1.2.3" || len(app.Functions) != 1 {
					t.Errorf("the server has app %+v", app)
				}
			}
			if s := registry.Status(); len(s) != 1 || s[0].Functions != 1 {
				t.Errorf("the registry has %+v", s)
			}
		})
	}
}
