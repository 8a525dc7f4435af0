package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/gateway/inbound"
	"github.com/inngest-gateway/inngest-gateway/gateway/outbound"
	"github.com/inngest-gateway/inngest-gateway/pool"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Times that are nobody's to choose.
const (
	resolveInterval = 5 * time.Second // between look-ups of dns+http endpoints
)

// unnamedApp is the id of the only app until its SDK tells its own.
const unnamedApp = "app"

// appID returns the id under which an app is known here. A sidecar need not
// name its only one.
func appID(a config.App) string {
	if a.ID == "" {
		return unnamedApp
	}
	return a.ID
}

// upstreamPath returns the path of an app at its endpoints.
func upstreamPath(a config.App) string {
	if a.Upstream.Path == "" {
		return a.Path
	}
	return a.Upstream.Path
}

// localKeys reads the keys between the gateway and an app.
func localKeys(c config.Local) (signature.Keyring, error) {
	if c.SigningKey.IsZero() {
		return signature.Keyring{}, nil
	}
	key, err := signature.ParseKey(c.SigningKey.Reveal())
	if err != nil {
		return signature.Keyring{}, fmt.Errorf("local signing key: %w", err)
	}
	return signature.Keyring{Current: key}, nil
}

// An upstream is the endpoints of an app, or a backend of hosted functions.
type upstream struct {
	app string
	*pool.Upstream
}

func (g *Gateway) newUpstream(a config.App) (*pool.Upstream, error) {
	u, limits := a.Upstream, g.cfg.Limits
	tlsConfig, err := endpointTLS(u.TLS)
	if err != nil {
		return nil, err
	}
	probePath := u.Probe.Path
	if u.Probe.Kind == config.ProbeSDK {
		probePath = upstreamPath(a)
	}
	return pool.New(pool.Options{
		App:              appID(a),
		Endpoints:        u.Endpoints,
		Host:             u.Host,
		TLS:              tlsConfig,
		DialTimeout:      u.DialTimeout,
		AnswerTimeout:    u.AnswerTimeout,
		MaxConns:         u.Connections.Max,
		MaxIdle:          u.Connections.Idle,
		IdleTimeout:      u.Connections.IdleTimeout,
		MaxLifetime:      u.Connections.MaxLifetime,
		Wait:             u.Connections.Wait,
		MaxHead:          int(limits.Head),
		MaxAnswer:        int(limits.Answer),
		ResendAfterReset: u.ResendAfterReset,
		ResolveInterval:  resolveInterval,
		Probe:            pool.ProbeKind(u.Probe.Kind),
		ProbePath:        probePath,
		HealthInterval:   u.Probe.Interval,
		Breaker: breaker.Options{
			ConsecutiveFailures: u.Breaker.ConsecutiveFailures,
			FailureRatio:        u.Breaker.FailureRatio,
			MinCalls:            u.Breaker.MinCalls,
			Window:              u.Breaker.Window,
			OpenFor:             u.Breaker.OpenFor,
			HalfOpenProbes:      u.Breaker.Probes,
			ProbeTimeout:        u.Probe.Timeout,
			Metrics:             g.metrics.Breaker,
		},
		Budget:  g.budget,
		Metrics: g.metrics.Pool,
		Log:     g.log,
	})
}

func endpointTLS(c config.TLS) (*tls.Config, error) {
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.Insecure}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tls.ca_file: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.ca_file: %s holds no certificate", c.CAFile)
	}
	return t, nil
}

// newApps builds the upstream of each app and the registry of them all.
func (g *Gateway) newApps() (*apps.Registry, error) {
	var list []apps.App
	for _, a := range g.cfg.Apps {
		u, err := g.newUpstream(a)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", appID(a), err)
		}
		g.upstreams = append(g.upstreams, upstream{appID(a), u})
		local, err := localKeys(a.Local)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", appID(a), err)
		}
		in := g.environments[a.Inngest]
		if in == nil {
			return nil, fmt.Errorf("app %s: no environment is called %q", appID(a), a.Inngest)
		}
		list = append(list, apps.App{
			ID:           appID(a),
			Path:         a.Path,
			UpstreamPath: upstreamPath(a),
			Callee:       u,
			Mode:         apps.Mode(a.Signing),
			Keys:         in.ring,
			Local:        local,
			SkipVerify:   g.cfg.InsecureSkipVerify,
			UnsignedSync: apps.UnsignedSync(a.UnsignedSync),
			Inngest:      in.client,
		})
	}
	if err := g.newHosted(); err != nil {
		return nil, err
	}
	for _, h := range g.hosted {
		list = append(list, apps.App{
			ID:           h.ID,
			Path:         h.Path,
			UpstreamPath: h.Path,
			Callee:       h,
			Mode:         apps.Strip,
			Keys:         h.in.ring,
			SkipVerify:   g.cfg.InsecureSkipVerify,
			UnsignedSync: apps.UnsignedSync(h.UnsignedSync),
			Inngest:      h.in.client,
			Hosted:       true,
		})
	}
	c := g.cfg
	return apps.New(apps.Options{
		Apps:         list,
		Dialect:      apps.Dialect(c.Sync.Dialect),
		StateDir:     c.StateDir,
		PublicURL:    c.PublicURL,
		Timeout:      c.Sync.Timeout,
		Retell:       c.Sync.Retell,
		Tolerance:    c.Inngest.SignatureTolerance,
		MaxCanonical: int(c.Limits.Canonical),
		MaxAnswer:    int(c.Limits.Answer),
		Budget:       g.budget,
		Now:          g.now,
		Metrics:      g.metrics.Apps,
		Log:          g.log,
	})
}

// newInbound builds the listener that Inngest calls, with a route for each app.
func (g *Gateway) newInbound() (*inbound.Server, error) {
	c := g.cfg
	compressFrom := 0
	if c.Compression.Enabled {
		compressFrom = int(c.Compression.MinSize)
	}
	server, err := inbound.New(inbound.Options{
		MaxHead:        int(c.Limits.Head),
		MaxURI:         int(c.Limits.URI),
		MaxBody:        int64(c.Limits.Body),
		MaxAnswer:      int64(c.Limits.Answer),
		MaxConnections: c.Limits.Connections,
		MinBodyRate:    int64(c.Limits.BodyMinRate),
		HeadTimeout:    c.Limits.HeadTimeout,
		IdleTimeout:    c.Limits.IdleTimeout,
		WriteTimeout:   c.Limits.WriteTimeout,
		CompressFrom:   compressFrom,
		TrustedProxies: c.TrustedProxies,
		LogEvery:       c.Log.Sample,
		Budget:         g.budget,
		Metrics:        g.metrics.Inbound,
		Log:            g.log,
	})
	if err != nil {
		return nil, err
	}
	var routes []inbound.Route
	for i, a := range c.Apps {
		room, err := g.roomOf(a, g.upstreams[i].Upstream)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", appID(a), err)
		}
		route := inbound.Route{
			App:          appID(a),
			Path:         a.Path,
			UpstreamPath: upstreamPath(a),
			Durable:      a.DurableEndpoints,
			Origins:      origins(a),
			PublicURL:    g.apps.PublicURL(appID(a)),
			OutageBudget: a.OutageBudget,
			Compress:     a.Compress,
			Pair:         g.apps.Pair(appID(a)),
			Callee:       room,
			Syncer:       g.apps,
		}
		if a.Hydrate {
			if route.Hydrator, err = g.hydratorOf(a); err != nil {
				return nil, fmt.Errorf("app %s: %w", appID(a), err)
			}
		}
		routes = append(routes, route)
	}
	for _, h := range g.hosted {
		room, err := g.roomOfHosted(h)
		if err != nil {
			return nil, fmt.Errorf("function app %s: %w", h.ID, err)
		}
		routes = append(routes, inbound.Route{
			App:          h.ID,
			Path:         h.Path,
			UpstreamPath: h.Path,
			PublicURL:    g.apps.PublicURL(h.ID),
			OutageBudget: h.OutageBudget,
			Compress:     h.Compress,
			Pair:         g.apps.Pair(h.ID),
			Callee:       room,
			Syncer:       g.apps,
		})
	}
	table, err := inbound.NewTable(routes)
	if err != nil {
		return nil, err
	}
	server.Swap(table)
	return server, nil
}

// origins returns what an app may call itself in a redirect: the addresses of
// its endpoints, and the host that it is told it has.
func origins(a config.App) []string {
	var list []string
	for _, e := range a.Upstream.Endpoints {
		scheme, host, _ := strings.Cut(strings.TrimPrefix(e, "dns+"), "://")
		if scheme == "unix" {
			continue
		}
		list = append(list, scheme+"://"+host)
		if a.Upstream.Host != "" {
			list = append(list, scheme+"://"+a.Upstream.Host)
		}
	}
	return list
}

// newOutbound builds the apps listener.
func (g *Gateway) newOutbound() (*outbound.Server, error) {
	c := g.cfg
	var list []outbound.App
	for _, a := range c.Apps {
		local, err := localKeys(a.Local)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", appID(a), err)
		}
		list = append(list, outbound.App{
			ID:            appID(a),
			Environment:   a.Inngest,
			Mode:          apps.Mode(a.Signing),
			Local:         local,
			LocalEventKey: a.Local.EventKey.Reveal(),
		})
	}
	var environments []outbound.Environment
	for _, in := range g.sortedEnvironments() { // the unnamed one first
		environments = append(environments, outbound.Environment{
			Name:      in.name,
			APIURL:    in.APIURL,
			Keys:      in.keys,
			EventKey:  in.EventKey.Reveal(),
			EventKeys: reveal(in.EventKeys),
			Branch:    in.Env,
		})
	}
	return outbound.New(outbound.Options{
		Environments:   environments,
		Apps:           list,
		Registry:       g.apps,
		Events:         g.events,
		Transport:      g.transport,
		Budget:         g.appsBudget,
		MaxHead:        int(c.Limits.Head),
		MaxBody:        int(c.Limits.Body),
		MaxConnections: c.Limits.Connections,
		HeadTimeout:    c.Limits.HeadTimeout,
		BodyTimeout:    c.Outbound.BodyTimeout,
		IdleTimeout:    c.Limits.IdleTimeout,
		AnswerTimeout:  c.Outbound.AnswerTimeout,
		StreamIdle:     c.Outbound.StreamIdle,
		AppsURL:        c.Outbound.URL,
		Metrics:        g.metrics.Outbound,
		Log:            g.log,
	})
}

func reveal(secrets []config.Secret) []string {
	var texts []string
	for _, s := range secrets {
		texts = append(texts, s.Reveal())
	}
	return texts
}
