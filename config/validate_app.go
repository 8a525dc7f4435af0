package config

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

const wantPath = `a path that starts with "/", without query, "..", "//" or a "/" at its end`

func (a App) validate(p *problems, at string) {
	validateAppID(p, at+".id", a.ID)
	if !isPath(a.Path) {
		p.add(at+".path", quoted(a.Path), wantPath)
	}
	for i, prefix := range a.DurableEndpoints {
		if !isPath(prefix) || prefix == "/" {
			p.add(element(at+".durable_endpoints", i), quoted(prefix), wantPath)
		}
	}
	accepted(p, at+".unsigned_sync", a.UnsignedSync)
	between(p, at+".outage_budget", a.OutageBudget, time.Minute, 30*24*time.Hour)
	a.Concurrency.validate(p, at+".concurrency")
	a.Guard.validate(p, at+".guard", a.Checkpointing == nil || *a.Checkpointing)
	a.Upstream.validate(p, at+".upstream")
	if up := a.Upstream.Path; up != a.Path && !isPath(up) {
		p.add(at+".upstream.path", quoted(up), wantPath)
	}
	if a.Upstream.ResendAfterReset && (a.Checkpointing == nil || *a.Checkpointing) {
		p.add(at+".upstream.resend_after_reset", quoted("true"),
			"false, because a checkpointing app would run steps twice; where the app has it switched off, say checkpointing: false too")
	}
}

func validateAppID(p *problems, at, id string) {
	if len(id) > 255 || strings.ContainsFunc(id, unicode.IsControl) {
		p.add(at, quoted(id), "at most 255 bytes without control characters")
	}
}

func (u Upstream) validate(p *problems, at string) {
	u.validateEndpoints(p, at)
	if u.Host != "" && (!isVisible(u.Host) || strings.ContainsAny(u.Host, "/?#@")) {
		p.add(at+".host", quoted(u.Host), "a host, or host:port")
	}
	atLeast(p, at+".dial_timeout", u.DialTimeout, time.Millisecond)
	atLeast(p, at+".answer_timeout", u.AnswerTimeout, time.Second)

	u.Connections.validate(p, at+".connections")
	u.Breaker.validate(p, at+".breaker")
	u.Probe.validate(p, at+".probe")
}

func (c Connections) validate(p *problems, at string) {
	between(p, at+".max", c.Max, 1, mostCount)
	if c.Max >= 1 {
		between(p, at+".idle", c.Idle, 0, c.Max)
	}
	atLeast(p, at+".idle_timeout", c.IdleTimeout, time.Millisecond)
	atLeast(p, at+".max_lifetime", c.MaxLifetime, time.Millisecond)
	atLeast(p, at+".wait", c.Wait, 0)
}

func (b Breaker) validate(p *problems, at string) {
	between(p, at+".consecutive_failures", b.ConsecutiveFailures, 0, mostCount)
	between(p, at+".failure_ratio", b.FailureRatio, 0, 1)
	if b.ConsecutiveFailures == 0 && b.FailureRatio == 0 {
		p.add(at, "without a threshold", "consecutive_failures or failure_ratio above 0, or it would never open")
	}
	between(p, at+".min_calls", b.MinCalls, 1, mostCount)
	atLeast(p, at+".window", b.Window, time.Second)
	atLeast(p, at+".open_for", b.OpenFor, time.Millisecond)
	between(p, at+".probes", b.Probes, 1, 100)
}

func (u Upstream) validateEndpoints(p *problems, at string) {
	if len(u.Endpoints) == 0 {
		p.add(at+".endpoints", gotNothing, "at least one: "+wantEndpoint)
	}
	first, encrypted := map[string]string{}, false
	for i, e := range u.Endpoints {
		path := element(at+".endpoints", i)
		parsed, ok := parseEndpoint(e)
		if !ok {
			p.add(path, quoted(e), wantEndpoint)
			continue
		}
		encrypted = encrypted || parsed.Scheme == "https"
		unique(p, first, path, e)
	}
	u.TLS.validate(p, at+".tls", encrypted)
}

func (t TLS) validate(p *problems, at string, encrypted bool) {
	switch {
	case t == TLS{}:
	case !encrypted:
		p.add(at, "set", "an https endpoint beside it: no other has TLS")
	case t.Insecure && t.CAFile != "":
		p.add(at+".ca_file", quoted(t.CAFile), "no ca_file beside insecure: true, which believes any certificate")
	case t.Insecure && t.ServerName != "":
		p.add(at+".server_name", quoted(t.ServerName), "no server_name beside insecure: true, which believes any certificate")
	}
}

func (r Probe) validate(p *problems, at string) {
	accepted(p, at+".kind", r.Kind)
	switch {
	case r.Kind == ProbeHTTP && !isPath(r.Path):
		got := quoted(r.Path)
		if r.Path == "" {
			got = gotNothing
		}
		p.add(at+".path", got, wantPath)
	case r.Kind != ProbeHTTP && r.Path != "":
		p.add(at+".path", quoted(r.Path), "no path, or kind: http: other kinds do not ask for it")
	}
	atLeast(p, at+".timeout", r.Timeout, time.Millisecond)
	if r.Interval != 0 {
		atLeast(p, at+".interval", r.Interval, 100*time.Millisecond)
	}
}

// validateSigning checks what an app's signing mode needs, and that no real
// key is given to an app.
func (c *Config) validateSigning(p *problems, at string, a App) {
	accepted(p, at+".signing", a.Signing)
	keyAt, eventAt := at+".local.signing_key", at+".local.event_key"
	switch a.Signing {
	case SigningPassthrough:
		if !a.Local.SigningKey.IsZero() || !a.Local.EventKey.IsZero() {
			p.add(at+".local", "set", "no local keys, or signing: resign: in mode passthrough the app has the real ones")
		}
	case SigningResign:
		if a.Local.SigningKey.IsZero() {
			p.add(keyAt, gotNothing, wantLocalKey)
		}
	case SigningStrip:
		c.validateStrip(p, at, a)
	}
	if key := a.Local.SigningKey; !key.IsZero() {
		c.validateLocalKey(p, keyAt, key)
	}
	if key := a.Local.EventKey; !key.IsZero() {
		switch {
		case !isEventKey(key.Reveal()):
			p.add(eventAt, mask, wantEventKey)
		case key.Equal(c.Environment(a).EventKey):
			p.add(eventAt, mask, "another key than inngest.event_key: the real key must not reach the app")
		case c.Environment(a).EventKey.IsZero():
			p.add(eventAt, mask, "inngest.event_key beside it, which replaces it on the way to Inngest")
		}
	}
}

// validateStrip checks that calls without a signature stay on this host.
func (c *Config) validateStrip(p *problems, at string, a App) {
	for i, e := range a.Upstream.Endpoints {
		u, ok := parseEndpoint(e)
		if ok && u.Scheme != "unix" && !isLoopback(u.Hostname()) {
			p.add(element(at+".upstream.endpoints", i), quoted(e),
				"a loopback address or unix:///path: in mode strip the app believes everybody who reaches it")
		}
	}
	if isListenAddress(c.Listen.Apps) && !isPrivate(c.Listen.Apps) {
		p.add("listen.apps", quoted(c.Listen.Apps),
			"a loopback address or unix:///path, because "+at+" is in mode strip: whoever reaches the listener has the real keys")
	}
	if !a.Local.SigningKey.IsZero() {
		p.add(at+".local.signing_key", mask, "none, or signing: resign: in mode strip nothing is signed for the app")
	}
}

const wantLocalKey = "a signing key for this app alone, signkey-<env>-<hex> (`gateway keys new` makes one)"

// validateLocalKey refuses the real keys of every environment.
func (c *Config) validateLocalKey(p *problems, at string, key Secret) {
	validateKey(p, at, key)
	for _, in := range append(slices.Collect(maps.Values(c.Inngest.Named)), c.Inngest.Environment) {
		for _, real := range append([]Secret{in.SigningKey, in.SigningKeyFallback}, in.SigningKeys...) {
			if sameKey(key, real) {
				p.add(at, mask, "another key than that of Inngest: the real key must not reach the app")
			}
		}
	}
}
