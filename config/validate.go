package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
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
	for _, base := range []*string{&c.PublicURL, &c.Outbound.URL, &c.Inngest.APIURL, &c.Inngest.EventURL} {
		*base = strings.TrimRight(*base, "/")
	}
	for name, in := range c.Inngest.Named {
		in.APIURL, in.EventURL = strings.TrimRight(in.APIURL, "/"), strings.TrimRight(in.EventURL, "/")
		c.Inngest.Named[name] = in
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
	c.validateEnvironments(p)
	c.Listen.validate(p)
	if _, ok := parseBase(c.PublicURL); !ok && c.PublicURL != "" {
		p.add("public_url", quoted(c.PublicURL), wantBase)
	}
	c.Limits.validate(p)
	c.validateApps(p)
	atLeast(p, "compression.min_size", c.Compression.MinSize, 1)
	c.Outbound.validate(p)
	c.Events.validate(p)
	c.durableWhere(p)
	c.compileSchemas(p)
	if c.Sync.Retell != 0 {
		atLeast(p, "sync.retell", c.Sync.Retell, time.Second)
	}
	atLeast(p, "sync.timeout", c.Sync.Timeout, time.Millisecond)
	accepted(p, "sync.dialect", c.Sync.Dialect)
	atLeast(p, "drain.delay", c.Drain.Delay, 0)
	atLeast(p, "drain.calls", c.Drain.Calls, time.Millisecond)
	atLeast(p, "drain.apps", c.Drain.Apps, time.Millisecond)
	atLeast(p, "drain.events", c.Drain.Events, time.Millisecond)
	accepted(p, "log.format", c.Log.Format)
	between(p, "log.sample", c.Log.Sample, 1, mostCount)
	between(p, "log.buffer", c.Log.Buffer, 1, mostCount)
}

// mostCount bounds what is counted, so that nothing is allocated for a slip of
// the keyboard.
const mostCount = 1_000_000

const wantBase = "an http or https URL without query, user or fragment"

func (o Outbound) validate(p *problems) {
	atLeast(p, "outbound.dial_timeout", o.DialTimeout, time.Millisecond)
	if _, ok := parseBase(o.URL); !ok && o.URL != "" {
		p.add("outbound.url", quoted(o.URL), wantBase)
	}
	atLeast(p, "outbound.answer_timeout", o.AnswerTimeout, time.Second)
	atLeast(p, "outbound.body_timeout", o.BodyTimeout, time.Second)
	atLeast(p, "outbound.stream_idle", o.StreamIdle, time.Second)
	between(p, "outbound.idle_connections", o.IdleConnections, 1, mostCount)
	atLeast(p, "outbound.idle_timeout", o.IdleTimeout, time.Second)
}

func (l Listen) validate(p *problems) {
	all := []struct{ path, address string }{
		{"listen.inngest", l.Inngest}, {"listen.apps", l.Apps}, {"listen.admin", l.Admin},
	}
	for i, one := range all {
		if !isListenAddress(one.address) {
			p.add(one.path, quoted(one.address), "host:port, :port or unix:///path")
			continue
		}
		for _, other := range all[:i] {
			if collide(one.address, other.address) {
				p.add(one.path, quoted(one.address), "another address than "+other.path)
			}
		}
	}
}

// isOwn tells whether a URL surely leads to a listener of ours.
func (c *Config) isOwn(u *url.URL) bool {
	return leadsTo(u, c.Listen.Inngest) || leadsTo(u, c.Listen.Apps) || leadsTo(u, c.Listen.Admin)
}

// validateApps checks the apps one by one and against each other.
func (c *Config) validateApps(p *problems) {
	if len(c.Apps) == 0 && len(c.FunctionApps) == 0 {
		p.add("apps", gotNothing, "at least one app: "+urlVariable+", or apps or functions in a file")
	}
	ids, paths := map[string]string{}, map[string]string{}
	for i, a := range c.Apps {
		at := element("apps", i)
		a.validate(p, at)
		c.validateSigning(p, at, a)
		a.Wait.validate(p, at+".wait", c.believed(a))
		if a.ID == "" && len(c.Apps) > 1 {
			p.add(at+".id", gotNothing, "the app id that the SDK has; with more than one app it is needed")
		}
		unique(p, ids, at+".id", a.ID)
		unique(p, paths, at+".path", a.Path)
		for j, e := range a.Upstream.Endpoints {
			if u, ok := parseEndpoint(e); ok && (c.isOwn(u) || e == c.PublicURL) {
				p.add(element(at+".upstream.endpoints", j), quoted(e), "the address of the app: the gateway would call itself")
			}
		}
	}
	c.validateFunctions(p, ids, paths)
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
			for k, app := range c.FunctionApps {
				if covers(path, app.Path) {
					p.add(at, quoted(path), "a prefix that does not cover "+element("function_apps", k)+".path")
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
	if l.AnswerReserve.percent > 90 || l.AnswerReserve.percent == 0 && l.Memory.percent == 0 && l.AnswerReserve.size >= l.Memory.size/2 {
		p.add("limits.answer_reserve", quoted(l.AnswerReserve.String()), "at most 90%, or a size below half of limits.memory")
	}
	between(p, "limits.body", l.Body, KiB, most)
	between(p, "limits.answer", l.Answer, KiB, most)
	between(p, "limits.head", l.Head, 4*KiB, MiB)
	between(p, "limits.uri", l.URI, 256, MiB)
	if l.URI > l.Head {
		p.add("limits.uri", quoted(l.URI.String()), "at most limits.head, which the target is part of")
	}
	between(p, "limits.connections", l.Connections, 1, mostCount)
	atLeast(p, "limits.head_timeout", l.HeadTimeout, time.Second)
	atLeast(p, "limits.body_min_rate", l.BodyMinRate, 1)
	atLeast(p, "limits.idle_timeout", l.IdleTimeout, time.Second)
	atLeast(p, "limits.write_timeout", l.WriteTimeout, time.Second)
	atLeast(p, "limits.memory_wait", l.MemoryWait, time.Millisecond)
	between(p, "limits.canonical", l.Canonical, 0, most)
	if l.Memory.percent == 0 && Size(l.Memory.Of(0)) < l.LeastMemory() {
		p.add("limits.memory", quoted(l.Memory.String()), fmt.Sprintf("at least %s: %s", l.LeastMemory(), WhyLeastMemory))
	}
}

// WhyLeastMemory says where Limits.LeastMemory comes from.
const WhyLeastMemory = "eight times the larger of limits.body and limits.answer, or one that large finds no room beside what the process needs itself"

// LeastMemory returns what limits.memory must at least be.
func (l Limits) LeastMemory() Size { return 8 * max(l.Body, l.Answer) }
