package gateway

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

const devURL = "http://127.0.0.1:8288"

func noSample() (string, error) { return "", errors.New("the sample app is asked for") }

// production is a configuration as it runs elsewhere: nothing of what it refers
// to is here.
const production = `
inngest:
  prod:
    signing_key: env:PROD_SIGNING_KEY
    signing_key_fallback: file:/run/secrets/none
    signing_keys: [file:/run/secrets/none]
    event_key: file:/run/secrets/none
  stage: {signing_key: env:STAGE_SIGNING_KEY, event_key: stage-event-key, api_url: "https://stage.example.com"}
public_url: https://inngest-gw.example.com
state_dir: /var/lib/inngest-gateway
outbound: {url: "http://gateway.internal:8481"}
sync: {dialect: in_band}
drain: {delay: 5s, calls: 7s}
admin: {token: "file:/run/secrets/none"}
insecure_skip_verify: true
apps:
  - {id: shop, inngest: prod, path: /api/shop, upstream: {endpoints: ["http://127.0.0.1:3000"]}}
  - id: mail
    inngest: stage
    path: /api/mail
    upstream: {endpoints: ["http://127.0.0.1:3001"]}
    signing: resign
    local: {signing_key: env:MAIL_SIGNING_KEY, event_key: env:MAIL_EVENT_KEY}
  - {id: old, inngest: prod, path: /api/old, upstream: {endpoints: ["http://127.0.0.1:3002"]}, signing: strip}
`

func TestDevConfig_leavesTheRealInngestAlone(t *testing.T) {
	c, err := newDevConfig(sources(t, production), devURL, noSample)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the configuration is not valid: %v", err)
	}
	in := c.Inngest
	if in.APIURL != devURL || in.EventURL != devURL || len(in.Named) != 0 || in.SigningKey.Reveal() != c.signingKey || in.EventKey.Reveal() != c.eventKey ||
		!in.SigningKeyFallback.IsZero() || len(in.SigningKeys) != 0 {
		t.Errorf("inngest = %+v", in)
	}
	for _, a := range c.Apps {
		if a.Inngest != "" {
			t.Errorf("app %s is in environment %s", a.ID, a.Inngest)
		}
	}
	for setting, got := range map[string]any{
		"public_url": c.PublicURL, "state_dir": c.StateDir, "outbound.url": c.Outbound.URL,
		"admin.token": c.Admin.Token.Reveal(), "drain.delay": int(c.Drain.Delay), "insecure_skip_verify": c.InsecureSkipVerify,
	} {
		if got != "" && got != 0 && got != false {
			t.Errorf("%s = %v, want nothing", setting, got)
		}
	}
	if c.Sync.Dialect != config.DialectAuto || c.Drain.Calls.Seconds() != 7 {
		t.Errorf("sync.dialect = %v, drain.calls = %v", c.Sync.Dialect, c.Drain.Calls)
	}
}

func TestDevConfig_makesUpKeysThatAreNotThere(t *testing.T) {
	c, err := newDevConfig(sources(t, production), devURL, noSample)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newDevConfig(sources(t, production), devURL, noSample)
	if err != nil {
		t.Fatal(err)
	}
	local := c.Apps[1].Local
	for name, text := range map[string]string{"development server": c.signingKey, "mail": local.SigningKey.Reveal()} {
		if _, err := signature.ParseKey(text); err != nil {
			t.Errorf("signing key of %s: %v", name, err)
		}
	}
	if local.SigningKey.Reveal() == c.signingKey || local.EventKey.Reveal() == c.eventKey {
		t.Error("mail has the keys of the server")
	}
	if other.signingKey == c.signingKey || other.Apps[1].Local.SigningKey.Reveal() == local.SigningKey.Reveal() {
		t.Error("the keys are the same each time")
	}
	for _, name := range []string{signingKeyVariable, eventKeyVariable, "apps[1].local.signing_key", "apps[1].local.event_key"} {
		if c.shown(name, "key") != "key" {
			t.Errorf("the key %s, which was made up, is shown as %s", name, c.shown(name, "key"))
		}
	}
}

func TestDevConfig_takesKeysThatAreThere(t *testing.T) {
	const mailKey, mailEvent = "signkey-local-0011", "mail-event-key"
	s := sources(t, production, "INNGEST_SIGNING_KEY="+stageKey, "INNGEST_EVENT_KEY="+stageEvent, "MAIL_SIGNING_KEY="+mailKey, "MAIL_EVENT_KEY="+mailEvent)
	c, err := newDevConfig(s, devURL, noSample)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.signingKey, c.eventKey, c.Apps[1].Local.SigningKey.Reveal(), c.Apps[1].Local.EventKey.Reveal()}
	if diff := cmp.Diff([]string{stageKey, stageEvent, mailKey, mailEvent}, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		signingKeyVariable:          "$INNGEST_SIGNING_KEY",
		"apps[1].local.signing_key": "<apps[1].local.signing_key of your configuration>",
	} {
		if shown := c.shown(name, "key"); shown != want {
			t.Errorf("a key of the user is shown as %s, want %s", shown, want)
		}
	}
}

func TestDevConfig_leavesLogsToTheUser(t *testing.T) {
	c, err := newDevConfig(sources(t, production), devURL, noSample)
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Format != config.LogText || c.Log.Level.String() != "WARN" {
		t.Errorf("by default logs are %s, level %v", c.Log.Format, c.Log.Level)
	}
	if c, err = newDevConfig(sources(t, production, "GATEWAY_LOG__LEVEL=debug"), devURL, noSample); err != nil {
		t.Fatal(err)
	}
	if c.Log.Level.String() != "DEBUG" {
		t.Errorf("level = %v, want what the variable says", c.Log.Level)
	}
}

func TestDevConfig_bringsTheSampleAppWhereThereIsNone(t *testing.T) {
	asked := 0
	sample := func() (string, error) { asked++; return "http://127.0.0.1:4000/api/inngest", nil }
	for name, c := range map[string]struct {
		environ []string
		want    int
	}{
		"nothing":                {nil, 1},
		"variables of an app":    {[]string{"INNGEST_BASE_URL=http://127.0.0.1:8481", "INNGEST_DEV=1", "INNGEST_SERVE_ORIGIN=https://x.example.com"}, 1},
		"GATEWAY_APP_URL":        {[]string{"GATEWAY_APP_URL=http://127.0.0.1:3000/x"}, 0},
		"a setting of an app":    {[]string{"GATEWAY_APPS__0__UPSTREAM__ENDPOINTS=http://127.0.0.1:3000"}, 0},
		"GATEWAY_CONFIG of apps": {[]string{"GATEWAY_CONFIG=" + sources(t, production).File}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked = 0
			cfg, err := newDevConfig(config.Sources{Env: c.environ}, devURL, sample)
			if err != nil {
				t.Fatal(err)
			}
			if asked != c.want || (cfg.Apps[0].ID == SampleID) != (c.want == 1) {
				t.Errorf("sample app asked for %d times, first app is %q", asked, cfg.Apps[0].ID)
			}
			if cfg.PublicURL != "" || cfg.Inngest.APIURL != devURL || cfg.InsecureSkipVerify {
				t.Errorf("public_url %q, api_url %q, insecure %v", cfg.PublicURL, cfg.Inngest.APIURL, cfg.InsecureSkipVerify)
			}
		})
	}
}

func TestDevConfig_refusals(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		file    string
		want    string
	}{
		"no such file":      {nil, filepath.Join(t.TempDir(), "none.yaml"), "none.yaml"},
		"no key":            {[]string{"INNGEST_SIGNING_KEY=secret"}, "", "inngest.signing_key is ***"},
		"a socket":          {[]string{"GATEWAY_LISTEN__INNGEST=unix:///run/x"}, "", `listen.inngest is "unix:///run/x", want host:port`},
		"a socket for apps": {[]string{"GATEWAY_LISTEN__APPS=unix:///run/x"}, "", `listen.apps is "unix:///run/x", want host:port`},
		"other problems":    {[]string{"GATEWAY_LIMITS__BODY=nothing"}, "", "limits.body"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newDevConfig(config.Sources{File: c.file, Env: c.environ}, devURL, func() (string, error) { return devURL, nil })
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error = %v, want one with %q", err, c.want)
			}
		})
	}
}
