package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	prodKey, prodEvent   = "signkey-prod-00112233445566778899aabbccddeeff", "prod-event-key"
	stageKey, stageEvent = "signkey-stage-ffeeddccbbaa99887766554433221100", "stage-event-key"
)

// twoEnvironments is a gateway of two apps, each with a server of its own.
func twoEnvironments(t *testing.T) (r *running, prod, stage *testServer) {
	t.Helper()
	prod, stage = newTestServer(t, prodKey, prodEvent), newTestServer(t, stageKey, stageEvent)
	shop, mail := listenForApp(t), listenForApp(t)
	r = start(t, loadFrom(t, sources(t, fmt.Sprintf(`
inngest:
  prod: {signing_key: %s, event_key: %s, api_url: %q, event_url: %q}
  stage: {signing_key: %s, event_key: %s, api_url: %q, event_url: %q}
apps:
  - {id: shop, inngest: prod, path: /api/shop, upstream: {endpoints: [%q], path: /api/inngest}}
  - {id: mail, inngest: stage, path: /api/mail, upstream: {endpoints: [%q], path: /api/inngest}}
`, prodKey, prodEvent, prod.url(), prod.url(), stageKey, stageEvent, stage.url(), stage.url(), shop.url(), mail.url()))))
	shop.serve("shop", urlOf(r.listeners.apps), prodKey)
	mail.serve("mail", urlOf(r.listeners.apps), stageKey)
	prod.sync(urlOf(r.listeners.inngest) + "/api/shop")
	stage.sync(urlOf(r.listeners.inngest) + "/api/mail")
	return r, prod, stage
}

func TestEnvironments_haveTheirOwnServersAndKeys(t *testing.T) {
	r, prod, stage := twoEnvironments(t)
	for name, c := range map[string]struct {
		server        *testServer
		app, path     string
		eventKey      string
		own, another  string // signing keys
		wrongEventKey string
	}{
		"prod":  {prod, "shop", "/api/shop", prodEvent, prodKey, stageKey, stageEvent},
		"stage": {stage, "mail", "/api/mail", stageEvent, stageKey, prodKey, prodEvent},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{c.app}, appNames(c.server.Apps())); diff != "" {
				t.Errorf("apps at the server (-want +got):\n%s", diff)
			}
			if run := c.server.runSample("demo/parallel"); run.Status != devserver.Completed {
				t.Errorf("run is %v: %s", run.Status, run.Error)
			}
			got := callApp(t, urlOf(r.listeners.inngest)+c.path, c.another)
			if got.status != http.StatusUnauthorized || got.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeSignatureMismatch) {
				t.Errorf("call signed in the other environment = %d %s", got.status, got.body)
			}
			events := len(c.server.Runs())
			event, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+"/e/"+c.eventKey, nil, `{"name":"demo/parallel"}`)
			if err != nil || event.status != http.StatusOK {
				t.Errorf("event = %d %s, %v", event.status, event.body, err)
			}
			c.server.waitFor("the run of the app's event", func(_ []devserver.App, runs []devserver.Run) bool {
				return len(runs) == events+1 && runs[events].Status == devserver.Completed
			})
		})
	}
}

// Requests that do not say whose they are must not reach a server that no app
// belongs to, or be believed because that one has no key.
func TestEnvironments_withoutAppAndKeyIsNoEnvironment(t *testing.T) {
	r, prod, stage := twoEnvironments(t)
	if r.environments[""] != nil {
		t.Error("there is an environment without a name")
	}
	body := `{"url":"http://evil/api","deployType":"ping","framework":"x","appName":"shop","functions":[],"sdk":"js:v1","v":"0.1"}`
	got, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+"/fn/register", nil, body)
	if err != nil || got.status != http.StatusUnauthorized {
		t.Errorf("registration without a token = %d %s, %v", got.status, got.body, err)
	}
	for _, s := range []*testServer{prod, stage} {
		if apps := s.Apps(); len(apps) != 1 || len(apps[0].Functions) == 0 {
			t.Errorf("apps at the server = %v", apps)
		}
	}
	if ready := get(t, urlOf(r.listeners.admin)+"/readyz"); !strings.Contains(ready.body, `"inngest prod"`) || strings.Contains(ready.body, `"inngest"`) {
		t.Errorf("readyz = %s", ready.body)
	}
}
