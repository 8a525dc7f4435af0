package outbound

import (
	"strings"
	"testing"
)

func TestRouter_namesEveryPathOfTheProtocol(t *testing.T) {
	rt := newRouter()
	for request, want := range map[string]struct {
		name string
		cred credential
	}{
		"POST /e/key":                         {"event", credEvent},
		"POST /fn/register":                   {"register", credNone},
		"POST /invoke/app-fn":                 {"invoke", credKey},
		"GET /v0/runs/01M8/batch":             {"run", credKey},
		"GET /v0/runs/01M8/actions":           {"run", credKey},
		"POST /v0/connect/start":              {"connect_start", credKey},
		"POST /v0/connect/flush":              {"connect_flush", credKey},
		"POST /v0/telemetry":                  {"telemetry", credKey},
		"POST /v0/gql":                        {"gql", credKey},
		"POST /v1/checkpoint":                 {"checkpoint", credKey},
		"POST /v1/checkpoint/01M8/steps":      {"checkpoint", credKey},
		"POST /v1/checkpoint/01M8/async":      {"checkpoint", credKey},
		"GET /v1/checkpoint/01M8/output":      {"output", credOwn},
		"POST /v1/http/runs":                  {"checkpoint", credKey},
		"POST /v1/http/runs/01M8/steps":       {"checkpoint", credKey},
		"GET /v1/http/runs/01M8/output":       {"output", credOwn},
		"POST /v1/signals":                    {"signal", credKey},
		"POST /v1/runs/01M8/metadata":         {"api", credKey},
		"GET /v1/runs":                        {"api", credKey},
		"GET /v1/runs/01M8/jobs":              {"api", credKey},
		"GET /v1/events":                      {"api", credKey},
		"GET /v1/events/01M8/runs":            {"api", credKey},
		"GET /v1/jobs/1":                      {"api", credKey},
		"GET /v1/apps/shop/functions":         {"api", credKey},
		"POST /v1/cancellations":              {"api", credKey},
		"DELETE /v1/cancellations/1":          {"api", credKey},
		"POST /v1/traces/userland":            {"trace", credKey},
		"POST /v1/realtime/token":             {"realtime", credKey},
		"POST /v1/realtime/publish":           {"realtime", credKeyOrJWT},
		"POST /v1/realtime/publish/tee":       {"tee", credKeyOrJWT},
		"GET /v1/realtime/connect":            {"realtime_connect", credOwn},
		"GET /v1/realtime/sse":                {"sse", credOwn},
		"GET /realtime/sse":                   {"sse", credOwn},
		"GET /v2/apps":                        {"v2", credKey},
		"POST /api/v2/apps/a/functions/f":     {"v2", credKey},
		"GET /v2/sessions/k/a%2Fb/runs":       {"v2", credKey},
		"GET /gateway/connect/TICKET":         {"connect_gateway", credNone},
		"GET /v2/keys/signing":                {"other", credNone},
		"GET /v2/keys":                        {"other", credNone},
		"GET /v2/Keys/signing":                {"other", credNone},
		"GET /v2/%6Beys/signing":              {"other", credNone},
		"GET /v2/keys%2Fsigning":              {"other", credNone},
		"GET /v2%2Fkeys/events":               {"other", credNone},
		"GET /api/v2/keys/events":             {"other", credNone},
		"GET /v2/%256beys/signing":            {"other", credNone},
		"GET /v2/%25256beys/%25zz":            {"other", credNone},
		"GET /v2/%2525252525256beys":          {"refused", credNone},
		"GET /v2/keys;a=b/signing":            {"other", credNone},
		"GET /v2;a/keys":                      {"other", credNone},
		"GET /v2/;a/keys":                     {"other", credNone},
		"GET /v2/%2Fkeys/signing":             {"other", credNone},
		"GET /v2/keys%20":                     {"other", credNone},
		"GET /v2/keysets":                     {"v2", credKey},
		"GET /":                               {"other", credNone},
		"POST /e":                             {"event_keyless", credNone},
		"POST /E/key":                         {"event_stray", credNone},
		"POST /e/key/":                        {"event_stray", credNone},
		"GET /E/key":                          {"other", credNone},
		"GET /e/key":                          {"other", credNone},
		"POST /e/key/more":                    {"event_stray", credNone},
		"POST /e/":                            {"event_keyless", credNone},
		"PUT /fn/register":                    {"other", credNone},
		"POST /fn/register/":                  {"other", credNone},
		"DELETE /fn/remove":                   {"other", credNone},
		"POST /FN/register":                   {"other", credNone},
		"GET /v1/checkpoint/01M8/async":       {"other", credNone},
		"POST /v1/checkpoint/01M8/async/more": {"other", credNone},
		"POST /v1/checkpoint//async":          {"refused", credNone},
		"DELETE /v1/runs/01M8":                {"other", credNone},
		"POST /v1/signals/../../fn/register":  {"refused", credNone},
		"GET /v2/%2e%2e/dev":                  {"refused", credNone},
		"GET /v2/a%2F..%2F..%2Fdev":           {"refused", credNone},
		"GET /v2/x/..;/keys/signing":          {"refused", credNone},
		"GET /v1/runs/%252e%252e/x":           {"refused", credNone},
		"GET /v1/runs/a%255Cb":                {"refused", credNone},
		"GET /v2/a%5Cb":                       {"refused", credNone},
		"GET /v2/a%00":                        {"refused", credNone},
		"GET /v2/%zz":                         {"refused", credNone},
		"GET //v1/runs":                       {"refused", credNone},
		"GET v1/runs":                         {"refused", credNone},
		"GET http://other/v1/runs":            {"refused", credNone},
	} {
		t.Run(request, func(t *testing.T) {
			method, path, _ := strings.Cut(request, " ")
			segments, ok := decodePath(path)
			if !ok {
				if want.name != "refused" {
					t.Fatalf("decodePath(%s) refuses it", path)
				}
				return
			}
			r := rt.find(method, segments)
			if r.name != want.name || r.cred != want.cred {
				t.Errorf("find = %s with credential %d, want %s with %d", r.name, r.cred, want.name, want.cred)
			}
		})
	}
}
