package inbound

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

func TestSync_isHandedToTheRegistry(t *testing.T) {
	const body = `{"url":"http://localhost:3100/api/inngest"}`
	signed := "X-Inngest-Signature: " + sign(t, body)
	for name, c := range map[string]struct {
		target string
		header []string
		off    bool
		want   apps.Put
	}{
		"signed":             {"", []string{signed, "X-Inngest-Server-Kind: cloud"}, false, apps.Put{App: "shop", Signed: true, Body: []byte(body), ServerKind: "cloud"}},
		"signed, in band":    {"?deployId=1", []string{signed, "x-inngest-sync-kind: in_band"}, false, apps.Put{App: "shop", Signed: true, Body: []byte(body), Query: "deployId=1", SyncKind: "in_band"}},
		"unsigned":           {"", []string{"X-Inngest-Server-Kind: cloud"}, false, apps.Put{App: "shop", Body: []byte(body), ServerKind: "cloud"}},
		"unverified, of dev": {"", []string{"X-Inngest-Server-Kind: dev"}, true, apps.Put{App: "shop", Body: []byte(body), ServerKind: "dev"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { s.Pair = &pairDouble{off: c.off} })
			r := g.ask(t, message("PUT /api/inngest"+c.target+" HTTP/1.1", body, c.header...))
			if r.StatusCode != 200 || r.text != `{"message":"synced"}` || r.Header.Get("X-Inngest-Sdk") == "" {
				t.Errorf("answer = %d %q", r.StatusCode, r.text)
			}
			if diff := cmp.Diff([]apps.Put{c.want}, g.syncs.puts()); diff != "" {
				t.Errorf("puts (-want +got):\n%s", diff)
			}
			if len(g.app.requests()) != 0 {
				t.Error("the app saw the sync as a call")
			}
		})
	}
}

func TestSync_refusals(t *testing.T) {
	const body = `{"url":"http://x/"}`
	for name, c := range map[string]struct {
		header []string
		err    error
		status int
		code   string
	}{
		"wrong signature":          {[]string{"X-Inngest-Signature: " + sign(t, "x")}, nil, 401, "signature_mismatch"},
		"malformed signature":      {[]string{"X-Inngest-Signature: x"}, nil, 401, "signature_malformed"},
		"development server":       {[]string{"X-Inngest-Signature: " + sign(t, body), "X-Inngest-Server-Kind: dev"}, nil, 400, "server_kind_refused"},
		"development, unsigned":    {[]string{"X-Inngest-Server-Kind: DEV"}, nil, 400, "server_kind_refused"},
		"the registry has no idea": {nil, errors.New("x"), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.syncs.does(func(apps.Put) (*call.Answer, error) { return nil, c.err })
			r := g.ask(t, message("PUT /api/inngest HTTP/1.1", body, c.header...))
			if p := problemOf(t, r); r.StatusCode != c.status || string(p.Code) != c.code || r.Header.Get("Retry-After") != "" {
				t.Errorf("answer = %d %+v %v", r.StatusCode, p, r.Header)
			}
			if c.err == nil && len(g.syncs.puts()) != 0 {
				t.Error("the registry saw it")
			}
		})
	}
}
