package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/functions/spec"
)

// Functions are functions without an SDK. Their settings are those of package
// spec, which reads them.
type Functions []spec.Function

// functionsKey is where they stand. What is below keeps the types that YAML
// gives it.
const functionsKey = "functions"

func (Functions) wants() string { return "a list of functions, see docs/functions.md" }

// isFunctions tells whether a type is read by package spec.
func isFunctions(t reflect.Type) bool { return t == reflect.TypeFor[Functions]() }

// A FunctionApp is an app that the gateway itself is: functions whose backends
// have no SDK.
type FunctionApp struct {
	// App id that the functions are registered under. A function names it in
	// app, which it must where there are several.
	ID string `koanf:"id"`

	// Name of the app's environment, a group in inngest; without one the
	// settings of inngest itself.
	Inngest string `koanf:"inngest" example:"prod"`

	// Path of the app at the gateway, where Inngest calls it.
	Path string `koanf:"path"`

	// What an unsigned sync request does: a hint lets the gateway sync the app
	// itself, at most once in 10 s; refuse answers 401.
	UnsignedSync UnsignedSync `koanf:"unsigned_sync"`

	// Compress large answers.
	Compress bool `koanf:"compress"`

	// How long an outage may last before runs are lost: refusals spread a run's
	// remaining attempts over it.
	OutageBudget time.Duration `koanf:"outage_budget"`

	// Where calls wait that cannot be taken now, and steps for a backend that is
	// away.
	Wait Wait `koanf:"wait"`

	// Calls that are answered at once.
	Concurrency Concurrency `koanf:"concurrency"`

	// Duplicates of calls.
	Guard Guard `koanf:"guard"`

	// Steps that are run one after another within one call.
	Checkpoint Checkpoint `koanf:"checkpoint"`

	// Backends that publish functions themselves.
	Discover Discover `koanf:"discover"`

	// How backends are talked to. Which ones there are is said by the URLs of
	// the functions.
	Backends Backends `koanf:"backends"`

	// Bounds of one run of a function that is written as steps.
	Limits FunctionLimits `koanf:"limits"`
}

// Checkpoint is whether steps are reported while a call runs.
type Checkpoint struct {
	// Run steps that follow each other within one call, and tell Inngest each
	// result as soon as it is there. Without it every step is a call of its own.
	Enabled bool `koanf:"enabled"`

	// A call begins no further step after this, and leaves it to the next call.
	MaxRuntime time.Duration `koanf:"max_runtime"`
}

// Discover is where functions are published.
type Discover struct {
	// Base URLs of backends that publish a manifest of functions at
	// /.well-known/inngest-functions. They may only name backends of their own.
	URLs []string `koanf:"urls" example:"[\"http://orders:8080\"]"`

	// Time between two looks at each; 0s: only at start.
	Interval time.Duration `koanf:"interval"`

	// Time for a manifest to arrive.
	Timeout time.Duration `koanf:"timeout"`
}

// Backends is how plain backends are talked to, each host of them as one
// endpoint.
type Backends struct {
	// Time to connect, TLS included.
	DialTimeout time.Duration `koanf:"dial_timeout"`

	// Time for an answer, where a function or a step says no timeout.
	AnswerTimeout time.Duration `koanf:"answer_timeout"`

	// Key that requests are signed with, in X-Inngest-Signature, so that a
	// backend can tell who calls; without one they are not signed. Never the
	// real one.
	SigningKey Secret `koanf:"signing_key" example:"env:BACKEND_SIGNING_KEY"`

	// Connections to each backend.
	Connections Connections `koanf:"connections"`

	// When a backend is taken for away.
	Breaker Breaker `koanf:"breaker"`

	// How a backend is asked whether it is well: tcp, or http with a path.
	Probe Probe `koanf:"probe"`

	// TLS to https backends.
	TLS TLS `koanf:"tls"`
}

// FunctionLimits bounds what a run of a program may do.
type FunctionLimits struct {
	// Steps of a run; Inngest takes 1000.
	Steps int `koanf:"steps"`

	// Statements that are executed to find the next step, each round of a loop
	// counted.
	Statements int `koanf:"statements"`

	// One value as JSON: a step's result, a variable, a request, the result.
	Value Size `koanf:"value"`
}

// DefaultFunctionApp returns a function app with every default there is. It is
// the one that functions are in where none is configured.
func DefaultFunctionApp() FunctionApp {
	app := DefaultApp()
	return FunctionApp{
		ID:           "functions",
		Path:         "/api/functions",
		UnsignedSync: app.UnsignedSync,
		Compress:     app.Compress,
		OutageBudget: app.OutageBudget,
		Wait:         app.Wait,
		Concurrency:  app.Concurrency,
		Guard:        app.Guard,
		Checkpoint:   Checkpoint{Enabled: true, MaxRuntime: 10 * time.Second}, // as long as the JavaScript SDK's
		Discover:     Discover{Interval: time.Minute, Timeout: 5 * time.Second},
		Backends: Backends{
			DialTimeout:   app.Upstream.DialTimeout,
			AnswerTimeout: 5 * time.Minute,
			Connections:   app.Upstream.Connections,
			Breaker:       app.Upstream.Breaker,
			Probe:         Probe{Kind: ProbeTCP, Timeout: app.Upstream.Probe.Timeout},
		},
		Limits: FunctionLimits{Steps: 1000, Statements: 100_000, Value: 4 * MiB},
	}
}

// FunctionEnvironment returns the environment of a function app.
func (c *Config) FunctionEnvironment(a FunctionApp) Environment {
	return c.Environment(App{Inngest: a.Inngest})
}

// FunctionsOf returns the functions that are configured for an app.
func (c *Config) FunctionsOf(app string) []spec.Function {
	var of []spec.Function
	for _, f := range c.Functions {
		if f.App == app {
			of = append(of, f)
		}
	}
	return of
}

// completeFunctions gives functions the app that nobody configured.
func (c *Config) completeFunctions(some bool) {
	if some && len(c.FunctionApps) == 0 {
		c.FunctionApps = []FunctionApp{DefaultFunctionApp()}
	}
	for i := range c.FunctionApps {
		d := &c.FunctionApps[i].Discover
		for j, base := range d.URLs {
			d.URLs[j] = strings.TrimRight(base, "/")
		}
	}
}

// readFunctions reads what stands under functions, nil if nothing does.
func (c *Config) readFunctions(source any, secrets secretReader, p *problems) {
	c.completeFunctions(source != nil)
	if source == nil {
		return
	}
	r := spec.Reader{Secret: func(text string) (string, string) {
		secret, want := secrets.read(text, false)
		return secret.Reveal(), want
	}}
	if len(c.FunctionApps) == 1 {
		r.App = c.FunctionApps[0].ID
	}
	all, wrong := r.Read(source, functionsKey)
	for _, one := range wrong {
		p.addAt(p.origin(one.Path), one.Path, one.Got, one.Want)
	}
	if wrong == nil {
		c.Functions = all
	}
}

// functionsText reads functions that stand in a variable or behind a flag, as
// YAML. What a file said of them is void.
func (p *problems) functionsText(text string) any {
	at := p.origin(functionsKey)
	maps.DeleteFunc(p.origins, func(path string, _ origin) bool { return belowFunctions(path) })
	r := &yamlReader{file: at.source, origins: map[string]origin{}, problems: p}
	doc, err := r.document([]byte(text))
	if err == nil && doc != nil {
		r.open = map[*yaml.Node]bool{}
		var tree any
		if tree, err = r.tree(doc, functionsKey); err == nil {
			return tree
		}
	}
	if err != nil {
		r.syntax(err)
	}
	return nil
}

// belowFunctions tells whether a path lies in the list of functions.
func belowFunctions(path string) bool {
	rest, ok := strings.CutPrefix(path, functionsKey)
	return ok && rest != "" && (rest[0] == '[' || rest[0] == '.')
}

// validateFunctions checks the function apps one by one and against the apps,
// whose ids and paths are given.
func (c *Config) validateFunctions(p *problems, ids, paths map[string]string) {
	for i, f := range c.Functions {
		if !slices.ContainsFunc(c.FunctionApps, func(a FunctionApp) bool { return a.ID == f.App }) {
			var known []string
			for _, a := range c.FunctionApps {
				known = append(known, a.ID)
			}
			p.add(element(functionsKey, i)+".app", quoted(f.App), "the id of a function app: "+listed(known))
			continue
		}
		c.validateEventKey(p, f)
	}
	wrong := slices.ContainsFunc(p.list, func(one Problem) bool { return belowFunctions(one.Path) || one.Path == functionsKey })
	for i, a := range c.FunctionApps {
		at := element("function_apps", i)
		a.validate(p, at)
		if a.ID == "" {
			p.add(at+".id", gotNothing, "the app id that functions are registered under")
		}
		unique(p, ids, at+".id", a.ID)
		unique(p, paths, at+".path", a.Path)
		if key := a.Backends.SigningKey; !key.IsZero() {
			c.validateLocalKey(p, at+".backends.signing_key", key)
		}
		if len(c.FunctionsOf(a.ID)) == 0 && len(a.Discover.URLs) == 0 && !wrong {
			p.add(at, "without functions", "functions, or discover.urls: Inngest registers no app that has none")
		}
		for j, base := range a.Discover.URLs {
			if u, ok := parseBase(base); ok && (c.isOwn(u) || base == c.PublicURL) {
				p.add(element(at+".discover.urls", j), quoted(base), "the address of a backend: the gateway would ask itself")
			}
		}
	}
}

// validateEventKey wants an event key where a function sends events. Without
// verification the server takes any.
func (c *Config) validateEventKey(p *problems, f spec.Function) {
	for _, a := range c.FunctionApps {
		if a.ID != f.App || !f.Sends() || c.InsecureSkipVerify || !c.FunctionEnvironment(a).EventKey.IsZero() {
			continue
		}
		at := "inngest"
		if _, there := c.Inngest.Named[a.Inngest]; there {
			at = join(at, a.Inngest)
		}
		p.add(at+".event_key", gotNothing, "the key to send events with (INNGEST_EVENT_KEY, or "+at+".event_key): "+f.At+" does")
	}
}

func (a FunctionApp) validate(p *problems, at string) {
	validateAppID(p, at+".id", a.ID)
	if !isPath(a.Path) {
		p.add(at+".path", quoted(a.Path), wantPath)
	}
	accepted(p, at+".unsigned_sync", a.UnsignedSync)
	between(p, at+".outage_budget", a.OutageBudget, time.Minute, 30*24*time.Hour)
	a.Wait.validate(p, at+".wait", 0)
	a.Concurrency.validate(p, at+".concurrency")
	a.Guard.validate(p, at+".guard", a.Checkpoint.Enabled)
	between(p, at+".checkpoint.max_runtime", a.Checkpoint.MaxRuntime, time.Millisecond, 2*time.Hour)

	first := map[string]string{}
	for i, base := range a.Discover.URLs {
		path := element(at+".discover.urls", i)
		if _, ok := parseBase(base); !ok {
			p.add(path, quoted(base), wantBase)
		}
		unique(p, first, path, base)
	}
	if a.Discover.Interval != 0 {
		atLeast(p, at+".discover.interval", a.Discover.Interval, time.Second)
	}
	between(p, at+".discover.timeout", a.Discover.Timeout, time.Millisecond, time.Minute)

	a.Backends.validate(p, at+".backends")

	l := a.Limits
	between(p, at+".limits.steps", l.Steps, 1, 1000)
	between(p, at+".limits.statements", l.Statements, 1, 100*mostCount)
	between(p, at+".limits.value", l.Value, KiB, 4*MiB)
}

func (b Backends) validate(p *problems, at string) {
	atLeast(p, at+".dial_timeout", b.DialTimeout, time.Millisecond)
	between(p, at+".answer_timeout", b.AnswerTimeout, time.Millisecond, 2*time.Hour)
	b.Connections.validate(p, at+".connections")
	b.Breaker.validate(p, at+".breaker")
	if b.Probe.Kind == ProbeSDK {
		p.add(at+".probe.kind", quoted(string(b.Probe.Kind)), "tcp or http: a backend without an SDK answers no sdk probe")
	}
	b.Probe.validate(p, at+".probe")
	b.TLS.validate(p, at+".tls", true)
}
