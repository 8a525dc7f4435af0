package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Environment returns the environment of an app.
func (c *Config) Environment(a App) Environment {
	if a.Inngest == "" {
		return c.Inngest.Environment
	}
	return c.Inngest.Named[a.Inngest]
}

// validateEnvironments checks the environment without a name, which needs a key
// only if an app is in it, and those with names.
func (c *Config) validateEnvironments(p *problems) {
	used := len(c.Apps)+len(c.FunctionApps) == 0 ||
		slices.ContainsFunc(c.Apps, func(a App) bool { return a.Inngest == "" }) ||
		slices.ContainsFunc(c.FunctionApps, func(a FunctionApp) bool { return a.Inngest == "" })
	if c.Inngest.SigningKey.IsZero() && !c.InsecureSkipVerify && used {
		p.add("inngest.signing_key", gotNothing, "the key of your Inngest environment (INNGEST_SIGNING_KEY, or inngest.signing_key); "+wantDev)
	}
	c.validateEnvironment(p, "inngest", c.Inngest.Environment)
	for _, name := range slices.Sorted(maps.Keys(c.Inngest.Named)) {
		at, in := join("inngest", name), c.Inngest.Named[name]
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || name == "" {
			p.add(at, "a name", "a name of lower-case letters, digits, _ and -")
			continue
		}
		if in.SigningKey.IsZero() && !c.InsecureSkipVerify {
			p.add(at+".signing_key", gotNothing, "the key of that environment; "+wantDev)
		}
		c.validateEnvironment(p, at, in)
	}
	for i, a := range c.Apps {
		c.validateEnvironmentName(p, element("apps", i)+".inngest", a.Inngest)
	}
	for i, a := range c.FunctionApps {
		c.validateEnvironmentName(p, element("function_apps", i)+".inngest", a.Inngest)
	}
}

// validateEnvironmentName checks which environment an app says that it is in.
func (c *Config) validateEnvironmentName(p *problems, at, name string) {
	if _, there := c.Inngest.Named[name]; name == "" || there {
		return
	}
	want := "the name of a group in inngest"
	if len(c.Inngest.Named) > 0 {
		want = listed(slices.Sorted(maps.Keys(c.Inngest.Named)))
	}
	p.add(at, quoted(name), want)
}

const wantDev = "to go without verification, in development only: INNGEST_DEV=1, or insecure_skip_verify: true"

func (c *Config) validateEnvironment(p *problems, at string, in Environment) {
	validateKey(p, at+".signing_key", in.SigningKey)
	validateKey(p, at+".signing_key_fallback", in.SigningKeyFallback)
	for i, key := range in.SigningKeys {
		at := element(at+".signing_keys", i)
		if key.IsZero() {
			p.add(at, gotNothing, wantKey)
		}
		validateKey(p, at, key)
	}
	if key := in.EventKey.Reveal(); key != "" && !isEventKey(key) {
		p.add(at+".event_key", mask, wantEventKey)
	}
	for i, key := range in.EventKeys {
		if !isEventKey(key.Reveal()) {
			p.add(element(at+".event_keys", i), mask, wantEventKey)
		}
	}
	c.validateServerURL(p, at+".api_url", in.APIURL)
	c.validateServerURL(p, at+".event_url", in.EventURL)
	if in.Env != "" && !isVisible(in.Env) {
		p.add(at+".env", quoted(in.Env), "printable ASCII without spaces")
	}
	between(p, at+".signature_tolerance", in.SignatureTolerance, time.Second, time.Hour)
}

// validateServerURL also refuses to send to ourselves what is meant for
// Inngest. An app's INNGEST_BASE_URL, which names our apps listener, is easily
// inherited.
func (c *Config) validateServerURL(p *problems, at, text string) {
	u, ok := parseBase(text)
	switch {
	case !ok:
		p.add(at, quoted(text), wantBase)
	case c.isOwn(u) || text == c.PublicURL || text == c.Outbound.URL:
		p.add(at, quoted(text), "the URL of Inngest: the gateway would call itself. "+
			"INNGEST_BASE_URL of an app must not reach the gateway's own environment")
	}
}

const wantKey = "signkey-<env>-<hex>, or the hex alone; Inngest shows it"

// An event key is an element of a path.
const wantEventKey = "printable ASCII without spaces, /, ? and #"

func isEventKey(text string) bool { return isVisible(text) && !strings.ContainsAny(text, "/?#") }

func validateKey(p *problems, at string, key Secret) {
	if key.IsZero() {
		return
	}
	if _, err := signature.ParseKey(key.Reveal()); err != nil {
		p.add(at, mask, wantKey)
	}
}

// sameKey tells whether two signing keys make the same signatures.
func sameKey(a, b Secret) bool {
	if a.IsZero() || b.IsZero() {
		return false
	}
	one, err := signature.ParseKey(a.Reveal())
	two, otherErr := signature.ParseKey(b.Reveal())
	return err == nil && otherErr == nil && one.Equal(two)
}
