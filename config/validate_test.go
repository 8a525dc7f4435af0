package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate_takesDefaultsWithAKeyAndAnApp(t *testing.T) {
	if err := one(nil).Validate(); err != nil {
		t.Errorf("Validate = %v, want nil", err)
	}
}

func TestValidate_takesWhatIsUnusual(t *testing.T) {
	local := NewSecret("signkey-local-00ff")
	for name, change := range map[string]func(*Config, *App){
		"no key, as said":                func(c *Config, _ *App) { c.Inngest.SigningKey, c.InsecureSkipVerify = Secret{}, true },
		"any free port, three times":     func(c *Config, _ *App) { c.Listen = Listen{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"} },
		"sockets":                        func(c *Config, _ *App) { c.Listen.Apps = "unix:///run/apps.sock" },
		"a public URL with a path":       func(c *Config, _ *App) { c.PublicURL = "https://example.com/inngest" },
		"a local server at another port": func(c *Config, _ *App) { c.Inngest.APIURL = "http://localhost:8288" },
		"another host at our port":       func(c *Config, _ *App) { c.Inngest.APIURL = "http://inngest:8480" },
		"every kind of endpoint": func(_ *Config, a *App) {
			a.Upstream.Endpoints = []string{"http://[::1]:3000", "https://app", "unix:///a.sock", "dns+http://app:80"}
		},
		"resign with a local key": func(_ *Config, a *App) { a.Signing, a.Local.SigningKey = SigningResign, local },
		"strip on loopback":       func(_ *Config, a *App) { a.Signing = SigningStrip },
		"strip over sockets": func(c *Config, a *App) {
			a.Signing, a.Upstream.Endpoints, c.Listen.Apps = SigningStrip, []string{"unix:///a.sock"}, "unix:///b.sock"
		},
		"a resend without checkpoints":        func(_ *Config, a *App) { a.Upstream.ResendAfterReset, a.Checkpointing = true, new(bool) },
		"a breaker with one threshold":        func(_ *Config, a *App) { a.Upstream.Breaker.FailureRatio = 0 },
		"no idle connections":                 func(_ *Config, a *App) { a.Upstream.Connections.Idle = 0 },
		"no registrations told again":         func(c *Config, _ *App) { c.Sync.Retell = 0 },
		"durable endpoints beside each other": func(_ *Config, a *App) { a.DurableEndpoints = []string{"/api/a", "/api/ab", "/api/inngest2"} },
		"an https endpoint with its authority": func(_ *Config, a *App) {
			a.Upstream.Endpoints, a.Upstream.TLS.CAFile = []string{"https://app"}, "/ca.pem"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := one(change).Validate(); err != nil {
				t.Errorf("Validate = %v, want nil", err)
			}
		})
	}
}

func TestValidate_refuses(t *testing.T) {
	const endpoint = "apps[0].upstream.endpoints[0]"
	local := NewSecret("signkey-local-00ff")
	for name, c := range map[string]struct {
		change func(*Config, *App)
		paths  string // of the problems
		want   string // part of the first one's Want
	}{
		"no key where verification is not switched off": {func(c *Config, _ *App) { c.Inngest.SigningKey = Secret{} }, "inngest.signing_key", "INNGEST_DEV=1"},
		"a key that is not hex":                         {func(c *Config, _ *App) { c.Inngest.SigningKey = NewSecret("signkey-prod-xyz") }, "inngest.signing_key", "hex"},
		"a fallback that is not hex":                    {func(c *Config, _ *App) { c.Inngest.SigningKeyFallback = NewSecret("abc") }, "inngest.signing_key_fallback", "hex"},
		"a further key that is none":                    {func(c *Config, _ *App) { c.Inngest.SigningKeys = []Secret{{}} }, "inngest.signing_keys[0]", "hex"},
		"a key that is not hex, verification or not":    {func(c *Config, _ *App) { c.Inngest.SigningKey, c.InsecureSkipVerify = NewSecret("abc"), true }, "inngest.signing_key", "hex"},
		"an event key with a slash":                     {func(c *Config, _ *App) { c.Inngest.EventKey = NewSecret("a/b") }, "inngest.event_key", "printable"},
		"a tolerance of a day":                          {func(c *Config, _ *App) { c.Inngest.SignatureTolerance = 24 * time.Hour }, "inngest.signature_tolerance", "from 1s to 1h"},
		"our apps listener as the API":                  {func(c *Config, _ *App) { c.Inngest.APIURL = "http://localhost:8481" }, "inngest.api_url", "call itself"},
		"our listener of all interfaces as event API":   {func(c *Config, _ *App) { c.Inngest.EventURL = "http://127.0.0.2:8480" }, "inngest.event_url", "call itself"},
		"our public URL as the API":                     {func(c *Config, _ *App) { c.PublicURL, c.Inngest.APIURL = "https://gw", "https://gw" }, "inngest.api_url", "call itself"},
		"ourselves as the app":                          {func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://127.0.0.1:8480"} }, endpoint, "call itself"},
		"our socket as the app": {func(c *Config, a *App) {
			c.Listen.Apps, a.Upstream.Endpoints = "unix:///a.sock", []string{"unix:///a.sock"}
		}, endpoint, "call itself"},
		"an address that is none":            {func(c *Config, _ *App) { c.Listen.Inngest = "8480" }, "listen.inngest", "host:port"},
		"a socket with a relative path":      {func(c *Config, _ *App) { c.Listen.Apps = "unix://run/a.sock" }, "listen.apps", "unix:///path"},
		"an address twice":                   {func(c *Config, _ *App) { c.Listen.Admin = c.Listen.Apps }, "listen.admin", "listen.apps"},
		"an address that another one covers": {func(c *Config, _ *App) { c.Listen.Apps = "127.0.0.1:8480" }, "listen.apps", "listen.inngest"},
		"our public URL as the app":          {func(c *Config, a *App) { c.PublicURL, a.Upstream.Endpoints = "https://gw", []string{"https://gw"} }, endpoint, "call itself"},
		"memory that no call fits in":        {func(c *Config, _ *App) { c.Limits.Memory = PortionOf(MiB) }, "limits.memory", "limits.body"},
		"a target beyond the head":           {func(c *Config, _ *App) { c.Limits.URI = 32 * KiB }, "limits.uri", "limits.head"},
		"a path that is not clean":           {func(_ *Config, a *App) { a.Path = "/api/../x" }, "apps[0].path", `"..`},
		"a path with an end slash":           {func(_ *Config, a *App) { a.Path = "/api/" }, "apps[0].path", "at its end"},
		"a path with a query":                {func(_ *Config, a *App) { a.Path = "/api?x" }, "apps[0].path", "query"},
		"an id with a line break":            {func(_ *Config, a *App) { a.ID = "a\nb" }, "apps[0].id", "control"},
		"a durable prefix over the app":      {func(_ *Config, a *App) { a.DurableEndpoints = []string{"/api"} }, "apps[0].durable_endpoints[0]", "apps[0].path"},
		"durable prefixes in each other": {func(_ *Config, a *App) { a.DurableEndpoints = []string{"/a", "/a/b"} },
			"apps[0].durable_endpoints[1]", "apps[0].durable_endpoints[0]"},
		"an endpoint twice":             {func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://a", "http://a"} }, "apps[0].upstream.endpoints[1]", endpoint},
		"an endpoint with a password":   {func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://u:p@a"} }, endpoint, "http://host:port"},
		"an endpoint with a colon only": {func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://a:"} }, endpoint, "http://host:port"},
		"an endpoint at port 0":         {func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://a:0"} }, endpoint, "http://host:port"},
		"TLS settings without TLS":      {func(_ *Config, a *App) { a.Upstream.TLS.Insecure = true }, "apps[0].upstream.tls", "https"},
		"an authority that is not asked": {func(_ *Config, a *App) {
			a.Upstream.Endpoints, a.Upstream.TLS = []string{"https://a"}, TLS{CAFile: "/ca", Insecure: true}
		}, "apps[0].upstream.tls.ca_file", "insecure"},
		"a probe's path that is not asked": {func(_ *Config, a *App) { a.Upstream.Probe.Path = "/healthz" }, "apps[0].upstream.probe.path", "kind: http"},
		"a probe that has no path":         {func(_ *Config, a *App) { a.Upstream.Probe.Kind = ProbeHTTP }, "apps[0].upstream.probe.path", `starts with "/"`},
		"a breaker that never opens": {func(_ *Config, a *App) {
			a.Upstream.Breaker.ConsecutiveFailures, a.Upstream.Breaker.FailureRatio = 0, 0
		}, "apps[0].upstream.breaker", "consecutive_failures or failure_ratio above 0, or it would never open"},
		"a ratio that is no number":         {func(_ *Config, a *App) { a.Upstream.Breaker.FailureRatio = math.NaN() }, "apps[0].upstream.breaker.failure_ratio", "from 0 to 1"},
		"more idle connections than any":    {func(_ *Config, a *App) { a.Upstream.Connections.Idle = 2000 }, "apps[0].upstream.connections.idle", "from 0 to 1000"},
		"a resend to a checkpointing app":   {func(_ *Config, a *App) { a.Upstream.ResendAfterReset = true }, "apps[0].upstream.resend_after_reset", "checkpointing: false"},
		"a mode that does not exist":        {func(_ *Config, a *App) { a.Signing = "none" }, "apps[0].signing", "passthrough, resign or strip"},
		"resign without a local key":        {func(_ *Config, a *App) { a.Signing = SigningResign }, "apps[0].local.signing_key", "gateway keys new"},
		"a local key in mode passthrough":   {func(_ *Config, a *App) { a.Local.SigningKey = local }, "apps[0].local", "resign"},
		"a local signing key in mode strip": {func(_ *Config, a *App) { a.Signing, a.Local.SigningKey = SigningStrip, local }, "apps[0].local.signing_key", "resign"},
		"the real key as local one": {func(_ *Config, a *App) {
			a.Signing, a.Local.SigningKey = SigningResign, NewSecret(strings.TrimPrefix(testKey, "signkey-prod-"))
		}, "apps[0].local.signing_key", "must not reach the app"},
		"the real fallback as local key": {func(c *Config, a *App) {
			a.Signing, a.Local.SigningKey, c.Inngest.SigningKeyFallback = SigningResign, NewSecret(otherKey), NewSecret(otherKey)
		}, "apps[0].local.signing_key", "must not reach the app"},
		"a key of another environment as local key": {func(c *Config, a *App) {
			staging := c.Inngest.Environment
			staging.SigningKey = NewSecret(otherKey)
			c.Inngest.Named = map[string]Environment{"staging": staging}
			a.Signing, a.Local.SigningKey = SigningResign, NewSecret(otherKey)
		}, "apps[0].local.signing_key", "must not reach the app"},
		"ourselves as a named environment": {func(c *Config, _ *App) {
			staging := c.Inngest.Environment
			staging.APIURL = "http://127.0.0.1:8481"
			c.Inngest.Named = map[string]Environment{"staging": staging}
		}, "inngest.staging.api_url", "call itself"},
		"an environment that is not there": {func(_ *Config, a *App) { a.Inngest = "prod" }, "apps[0].inngest", "a group in inngest"},
		"a reserve beyond memory": {func(c *Config, _ *App) { c.Limits.AnswerReserve, c.Limits.Memory = PortionOf(GiB), PortionOf(GiB) },
			"limits.answer_reserve", "below half of limits.memory"},
		"the real event key as local one": {func(c *Config, a *App) {
			a.Signing, a.Local, c.Inngest.EventKey = SigningResign, Local{local, NewSecret("e")}, NewSecret("e")
		}, "apps[0].local.event_key", "must not reach the app"},
		"a local event key for no real one": {func(_ *Config, a *App) { a.Signing, a.Local = SigningResign, Local{local, NewSecret("e")} }, "apps[0].local.event_key", "inngest.event_key"},
		"strip to another host":             {func(_ *Config, a *App) { a.Signing, a.Upstream.Endpoints = SigningStrip, []string{"http://app:3000"} }, endpoint, "loopback"},
		"strip with a listener for all":     {func(c *Config, a *App) { a.Signing, c.Listen.Apps = SigningStrip, ":8481" }, "listen.apps", "apps[0] is in mode strip"},
		"a negative wait":                   {func(c *Config, _ *App) { c.Drain.Calls = -1 }, "drain.calls", "at least 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := one(c.change)
			var problems Problems
			if err := cfg.Validate(); !errors.As(err, &problems) {
				t.Fatalf("Validate = %v, want problems", err)
			}
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
			}
			if got := strings.Join(paths, " "); got != c.paths || !strings.Contains(problems[0].Want, c.want) {
				t.Errorf("Validate:\n%v\nwant a problem with %s that says %q", problems, c.paths, c.want)
			}
		})
	}
}

func TestValidate_refusesToServeNothing(t *testing.T) {
	cfg := one(nil)
	cfg.Apps = nil
	want := "apps is not set, want at least one app: GATEWAY_APP_URL, or apps or functions in a file"
	if err := cfg.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate = %v, want %s", err, want)
	}
}

func TestValidate_comparesApps(t *testing.T) {
	cfg := one(func(_ *Config, a *App) { a.DurableEndpoints = []string{"/buy"} })
	second := cfg.Apps[0]
	second.Upstream.Endpoints = []string{"http://127.0.0.1:4000"}
	cfg.Apps = append(cfg.Apps, second)
	want := []string{
		"apps[0].id is not set, want the app id that the SDK has; with more than one app it is needed",
		"apps[1].id is not set, want the app id that the SDK has; with more than one app it is needed",
		`apps[1].path is "/api/inngest", want another value than apps[0].path`,
		`apps[1].durable_endpoints[0] is "/buy", want a prefix that does not overlap apps[0].durable_endpoints[0]`,
	}
	if d := cmp.Diff(want, strings.Split(cfg.Validate().Error(), "\n")); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}
