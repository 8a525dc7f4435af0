package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Validate checks a configuration that was made in code; Load has done it. It
// has no side effects: nothing is opened, resolved or dialled. Its error is a
// [Problems].
func (c *Config) Validate() error {
	p := &problems{}
	c.validate(p)
	return p.err()
}

// complete fills what follows from other settings.
func (c *Config) complete() {
	for _, base := range []*string{&c.PublicURL, &c.Inngest.APIURL, &c.Inngest.EventURL} {
		*base = strings.TrimRight(*base, "/")
	}
	for i := range c.Apps {
		a := &c.Apps[i]
		if a.Upstream.Path == "" {
			a.Upstream.Path = a.Path
		}
		for j, e := range a.Upstream.Endpoints {
			if !strings.HasPrefix(e, "unix:") {
				a.Upstream.Endpoints[j] = strings.TrimRight(e, "/")
			}
		}
	}
}

func (c *Config) validate(p *problems) {
	c.Inngest.validate(p, c.InsecureSkipVerify)
	c.Listen.validate(p)
	if _, ok := parseBase(c.PublicURL); !ok && c.PublicURL != "" {
		p.add("public_url", quoted(c.PublicURL), wantBase)
	}
	c.validateOwnURLs(p)
	c.Limits.validate(p)
	c.validateApps(p)
	atLeast(p, "compression.min_size", c.Compression.MinSize, 0)
	atLeast(p, "outbound.dial_timeout", c.Outbound.DialTimeout, time.Millisecond)
	atLeast(p, "outbound.answer_timeout", c.Outbound.AnswerTimeout, time.Second)
	atLeast(p, "outbound.idle_connections", c.Outbound.IdleConnections, 1)
	atLeast(p, "outbound.idle_timeout", c.Outbound.IdleTimeout, time.Second)
	if c.Sync.Retell != 0 {
		atLeast(p, "sync.retell", c.Sync.Retell, time.Second)
	}
	atLeast(p, "sync.timeout", c.Sync.Timeout, time.Millisecond)
	accepted(p, "sync.dialect", c.Sync.Dialect)
	atLeast(p, "drain.delay", c.Drain.Delay, 0)
	atLeast(p, "drain.calls", c.Drain.Calls, 0)
	atLeast(p, "drain.apps", c.Drain.Apps, 0)
	accepted(p, "log.format", c.Log.Format)
	atLeast(p, "log.sample", c.Log.Sample, 0)
	atLeast(p, "log.buffer", c.Log.Buffer, 1)
}

const wantBase = "an http or https URL without query, user or fragment"

func (in Inngest) validate(p *problems, insecure bool) {
	if in.SigningKey.IsZero() && !insecure {
		p.add("inngest.signing_key", gotNothing, "the key of your Inngest environment (INNGEST_SIGNING_KEY, or inngest.signing_key); "+
			"to go without verification, in development only: INNGEST_DEV=1, or insecure_skip_verify: true")
	}
	validateKey(p, "inngest.signing_key", in.SigningKey)
	validateKey(p, "inngest.signing_key_fallback", in.SigningKeyFallback)
	for i, key := range in.SigningKeys {
		at := element("inngest.signing_keys", i)
		if key.IsZero() {
			p.add(at, gotNothing, wantKey)
		}
		validateKey(p, at, key)
	}
	if key := in.EventKey.Reveal(); key != "" && !isEventKey(key) {
		p.add("inngest.event_key", mask, wantEventKey)
	}
	if _, ok := parseBase(in.APIURL); !ok {
		p.add("inngest.api_url", quoted(in.APIURL), wantBase)
	}
	if _, ok := parseBase(in.EventURL); !ok {
		p.add("inngest.event_url", quoted(in.EventURL), wantBase)
	}
	if in.Env != "" && !isVisible(in.Env) {
		p.add("inngest.env", quoted(in.Env), "printable ASCII without spaces")
	}
	between(p, "inngest.signature_tolerance", in.SignatureTolerance, time.Second, time.Hour)
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

func (l Listen) validate(p *problems) {
	first := map[string]string{}
	for _, one := range []struct{ path, address string }{
		{"listen.inngest", l.Inngest}, {"listen.apps", l.Apps}, {"listen.admin", l.Admin},
	} {
		if !isListenAddress(one.address) {
			p.add(one.path, quoted(one.address), "host:port, :port or unix:///path")
			continue
		}
		if other, taken := first[one.address]; taken && !strings.HasSuffix(one.address, ":0") {
			p.add(one.path, quoted(one.address), "another address than "+other)
		}
		first[one.address] = one.path
	}
}

// validateOwnURLs refuses to send to ourselves what is meant for Inngest. An
// app's INNGEST_BASE_URL, which names our apps listener, is easily inherited.
func (c *Config) validateOwnURLs(p *problems) {
	for _, one := range []struct{ path, text string }{
		{"inngest.api_url", c.Inngest.APIURL}, {"inngest.event_url", c.Inngest.EventURL},
	} {
		if u, ok := parseBase(one.text); ok && (c.isOwn(u) || one.text == c.PublicURL) {
			p.add(one.path, quoted(one.text), "the URL of Inngest: the gateway would call itself. "+
				"INNGEST_BASE_URL of an app must not reach the gateway's own environment")
		}
	}
}

// isOwn tells whether a URL surely leads to a listener of ours.
func (c *Config) isOwn(u *url.URL) bool {
	return leadsTo(u, c.Listen.Inngest) || leadsTo(u, c.Listen.Apps) || leadsTo(u, c.Listen.Admin)
}

// validateApps checks the apps one by one and against each other.
func (c *Config) validateApps(p *problems) {
	if len(c.Apps) == 0 {
		p.add("apps", gotNothing, "at least one app: "+urlVariable+", or apps in a file")
	}
	ids, paths := map[string]string{}, map[string]string{}
	for i, a := range c.Apps {
		at := element("apps", i)
		a.validate(p, at)
		c.validateSigning(p, at, a)
		if a.ID == "" && len(c.Apps) > 1 {
			p.add(at+".id", gotNothing, "the app id that the SDK has; with more than one app it is needed")
		}
		unique(p, ids, at+".id", a.ID)
		unique(p, paths, at+".path", a.Path)
		for j, e := range a.Upstream.Endpoints {
			if u, ok := parseEndpoint(e); ok && c.isOwn(u) {
				p.add(element(at+".upstream.endpoints", j), quoted(e), "the address of the app: the gateway would call itself")
			}
		}
	}
	c.validateDurable(p)
}

func (c *Config) validateDurable(p *problems) {
	type prefix struct{ at, path string }
	var seen []prefix
	for i, a := range c.Apps {
		for j, path := range a.DurableEndpoints {
			at := element(element("apps", i)+".durable_endpoints", j)
			for _, other := range seen {
				if covers(other.path, path) || covers(path, other.path) {
					p.add(at, quoted(path), "a prefix that does not overlap "+other.at)
				}
			}
			for k, app := range c.Apps {
				if covers(path, app.Path) {
					p.add(at, quoted(path), "a prefix that does not cover "+element("apps", k)+".path")
				}
			}
			seen = append(seen, prefix{at, path})
		}
	}
}

// unique notes a second setting with the same value.
func unique(p *problems, first map[string]string, at, value string) {
	if value == "" {
		return
	}
	if other, taken := first[value]; taken {
		p.add(at, quoted(value), "another value than "+other)
		return
	}
	first[value] = at
}

// atLeast notes a number, size or duration that is too small.
func atLeast[T cmp.Ordered](p *problems, at string, got, least T) {
	if got < least {
		p.add(at, quoted(valueText(got)), "at least "+valueText(least))
	}
}

// between notes a number, size or duration that is out of bounds.
func between[T cmp.Ordered](p *problems, at string, got, least, most T) {
	if got != got || got < least || got > most { // a NaN is not itself
		p.add(at, quoted(valueText(got)), "from "+valueText(least)+" to "+valueText(most))
	}
}

// accepted notes a text that its type does not know.
func accepted[T interface {
	~string
	enum
}](p *problems, at string, got T) {
	for _, one := range got.accepts() {
		if one == string(got) {
			return
		}
	}
	p.add(at, quoted(string(got)), listed(got.accepts()))
}

// valueText writes a value as users do: 2h, not 2h0m0s.
func valueText(value any) string {
	text := fmt.Sprint(value)
	if _, ok := value.(time.Duration); ok {
		if short, ok := strings.CutSuffix(text, "m0s"); ok {
			text = short + "m"
		}
		if short, ok := strings.CutSuffix(text, "h0m"); ok {
			text = short + "h"
		}
	}
	return text
}

func (l Limits) validate(p *problems) {
	const most = 1 * GiB // of anything that is held in one piece
	between(p, "limits.body", l.Body, KiB, most)
	between(p, "limits.answer", l.Answer, KiB, most)
	between(p, "limits.head", l.Head, 4*KiB, MiB)
	between(p, "limits.uri", l.URI, 256, MiB)
	if l.URI > l.Head {
		p.add("limits.uri", quoted(l.URI.String()), "at most limits.head, which the target is part of")
	}
	atLeast(p, "limits.connections", l.Connections, 1)
	atLeast(p, "limits.head_timeout", l.HeadTimeout, time.Second)
	atLeast(p, "limits.body_min_rate", l.BodyMinRate, 1)
	atLeast(p, "limits.idle_timeout", l.IdleTimeout, time.Second)
	atLeast(p, "limits.memory_wait", l.MemoryWait, 0)
	between(p, "limits.canonical", l.Canonical, 0, most)
	if size := Size(l.Memory.Of(0)); l.Memory.percent == 0 && size < max(l.Body, l.Answer) {
		p.add("limits.memory", quoted(l.Memory.String()), "at least limits.body and limits.answer, or no call fits")
	}
}
