package apps

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Options configures a Registry.
type Options struct {
	Apps     []App     // at least one
	Inngest  Registrar // the server of the apps that have none of their own
	Dialect  Dialect   // what servers take
	StateDir string    // manifests are kept under it; empty: in memory

	PublicURL   string // URL of this gateway as Inngest reaches it; empty: not configured
	ServeOrigin string // INNGEST_SERVE_ORIGIN, used where PublicURL is empty; may be empty too

	Timeout time.Duration // for one sync, from the PUT to its answer, > 0
	Retell  time.Duration // how often manifests are told again; 0: only after an outage

	Tolerance    time.Duration // these five as in PairOptions
	MaxCanonical int
	MaxAnswer    int
	Budget       *budget.Budget
	Now          func() time.Time

	Previous *Registry // whose memory the new one takes over at a reload; nil at start
	Metrics  *metrics.Apps
	Log      *slog.Logger
}

// callee answers calls: the upstream of an app, or a host of functions.
type callee interface {
	Do(context.Context, *call.Call) (*call.Answer, error)
}

// An App is one app behind the gateway.
type App struct {
	ID           string // the SDK's app id; where there is one app only, its SDK may have another one
	Path         string // at the gateway
	UpstreamPath string // at the app's endpoints
	Callee       callee // the app
	Mode         Mode   // and these four as in PairOptions
	Keys         signature.Keyring
	Local        signature.Keyring
	SkipVerify   bool
	UnsignedSync UnsignedSync
	Inngest      Registrar // the app's server; nil: Options.Inngest
	Hosted       bool      // the gateway itself is the app: no SDK registers it
}

// UnsignedSync is what a PUT without signature does.
type UnsignedSync string

// The answers to an unsigned PUT.
const (
	UnsignedHint   UnsignedSync = "hint"   // the gateway syncs the app itself, at most once in 10 s
	UnsignedRefuse UnsignedSync = "refuse" // 401
)

// Dialect is the way in which a server learns of functions.
type Dialect string

// The dialects of a server.
const (
	DialectAuto     Dialect = "auto"     // find out
	DialectRegister Dialect = "register" // it takes /fn/register
	DialectInBand   Dialect = "in_band"  // it takes the answer to its own PUT and nothing else
)

// A Registry knows the apps. It is safe for use by several goroutines at once.
type Registry struct {
	opts  Options
	apps  []*app
	byID  map[string]*app
	store *store // nil: memory only
}

// New builds a registry and reads the manifests that were kept. It starts
// nothing, see [Registry.Run].
func New(o Options) (*Registry, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("apps: %w", err)
	}
	r := &Registry{opts: o, byID: make(map[string]*app, len(o.Apps))}
	servers := map[Registrar]*server{}
	for _, a := range o.Apps {
		built, err := r.newApp(a, servers)
		if err != nil {
			return nil, fmt.Errorf("apps: app %q: %w", a.ID, err)
		}
		if r.byID[a.ID] != nil {
			return nil, fmt.Errorf("apps: two apps have the id %q", a.ID)
		}
		r.byID[a.ID] = built
		r.apps = append(r.apps, built)
	}
	if o.StateDir != "" {
		var err error
		if r.store, err = openStore(filepath.Join(o.StateDir, "manifests"), o.Now); err != nil {
			return nil, fmt.Errorf("apps: %w", err)
		}
	}
	for _, a := range r.apps {
		if err := r.recall(a); err != nil {
			return nil, fmt.Errorf("apps: app %q: %w", a.ID, err)
		}
	}
	r.opts.Previous = nil // or every reload would keep all before it
	return r, nil
}

func (o *Options) check() error {
	switch {
	case len(o.Apps) == 0:
		return errors.New("no app")
	case !slices.Contains([]Dialect{DialectAuto, DialectRegister, DialectInBand}, o.Dialect):
		return fmt.Errorf("dialect %q is none of %s, %s, %s", o.Dialect, DialectAuto, DialectRegister, DialectInBand)
	case o.Timeout <= 0:
		return fmt.Errorf("option Timeout is %v, must be above 0", o.Timeout)
	case o.Retell < 0:
		return fmt.Errorf("option Retell is %v, must be at least 0", o.Retell)
	case o.Now == nil || o.Metrics == nil || o.Log == nil:
		return errors.New("option Now, Metrics or Log is missing")
	}
	for _, u := range []string{o.PublicURL, o.ServeOrigin} {
		if _, ok := parseBase(u); !ok && u != "" {
			return fmt.Errorf("public URL %q is no http or https URL with a host", u)
		}
	}
	return nil
}

func (r *Registry) newApp(a App, servers map[Registrar]*server) (*app, error) {
	o := &r.opts
	if a.Inngest == nil {
		a.Inngest = o.Inngest
	}
	switch {
	case a.ID == "":
		return nil, errors.New("it has no id")
	case !strings.HasPrefix(a.Path, "/") || !strings.HasPrefix(a.UpstreamPath, "/"):
		return nil, fmt.Errorf("paths %q and %q must start with /", a.Path, a.UpstreamPath)
	case a.Callee == nil || a.Inngest == nil:
		return nil, errors.New("its Callee or Inngest is missing")
	case a.UnsignedSync != UnsignedHint && a.UnsignedSync != UnsignedRefuse:
		return nil, fmt.Errorf("unsigned sync %q is none of %s, %s", a.UnsignedSync, UnsignedHint, UnsignedRefuse)
	}
	pair, err := NewPair(PairOptions{
		Mode: a.Mode, Keys: a.Keys, Local: a.Local, SkipVerify: a.SkipVerify,
		Tolerance: o.Tolerance, MaxCanonical: o.MaxCanonical, MaxAnswer: o.MaxAnswer, Budget: o.Budget, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	if servers[a.Inngest] == nil {
		servers[a.Inngest] = &server{registrar: a.Inngest, dialect: o.Dialect}
	}
	built := &app{
		App: a, pair: pair, server: servers[a.Inngest],
		telling: make(chan struct{}, 1), hints: make(chan hint, 1), wanted: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	for _, u := range []string{o.PublicURL, o.ServeOrigin} {
		if base, ok := parseBase(strings.TrimRight(u, "/") + a.Path); ok {
			built.configured = base
			break
		}
	}
	return built, nil
}

// recall gives an app what was known of it before: by the registry that this
// one takes the place of, or by the last process.
func (r *Registry) recall(a *app) error {
	o := &r.opts
	if p := o.Previous; p != nil && p.byID[a.ID] != nil {
		a.inherit(p.byID[a.ID])
	}
	if a.last == nil && r.store != nil {
		m, damaged, err := r.store.load(a.ID)
		if err != nil {
			return err
		}
		if damaged != nil {
			o.Metrics.Damaged.WithLabelValues().Inc()
			o.Log.Error("kept manifest is damaged and was set aside", "app", a.ID, "file", damaged.aside, "err", damaged.err)
		}
		if m != nil {
			a.last, a.learnt, a.saved, a.synced = m, m.base(), true, m.At
		}
	}
	if a.last != nil {
		r.measure(a, a.last)
	}
	if a.pending != nil {
		a.schedule(firstRetry)
	} else {
		a.schedule(jitter(o.Retell, 0, 1)) // replicas that start together spread
	}
	return nil
}

// Pair returns the signing pair of an app, nil if there is no such app.
func (r *Registry) Pair(id string) *Pair {
	if a := r.byID[id]; a != nil {
		return a.pair
	}
	return nil
}

// PublicURL returns the URL under which an app is registered, empty while the
// gateway does not know it.
func (r *Registry) PublicURL(id string) string {
	if a := r.byID[id]; a != nil {
		if base := a.base(); base != nil {
			return base.String()
		}
	}
	return ""
}

// find returns the app that an SDK calls by that name. Where there is one app
// with an SDK only, it is that one: nobody else can be meant.
func (r *Registry) find(name string) *app {
	if a := r.byID[name]; a != nil {
		return a
	}
	var only *app
	for _, a := range r.apps {
		switch {
		case a.Hosted:
		case only != nil:
			return nil
		default:
			only = a
		}
	}
	return only
}

// known lists the ids for people.
func (r *Registry) known() string {
	ids := make([]string, len(r.apps))
	for i, a := range r.apps {
		ids[i] = a.ID
	}
	return strings.Join(ids, ", ")
}

// Run tells manifests again and does the syncs that unsigned PUTs hint at,
// until ctx ends. It returns nil.
func (r *Registry) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, a := range r.apps {
		wg.Go(func() { r.attend(ctx, a) })
	}
	wg.Wait()
	return nil
}

// parseBase parses a URL that paths can be added to.
func parseBase(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || !isHTTP(text) || u.Host == "" {
		return nil, false
	}
	return &url.URL{Scheme: strings.ToLower(u.Scheme), Host: u.Host, Path: u.Path, RawPath: u.RawPath}, true
}

var _ Registrar = (*Registry)(nil) // an app cannot tell the gateway from a server
