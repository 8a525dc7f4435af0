package config

import "time"

// An App is one app behind the gateway.
type App struct {
	// The SDK's app id; registrations are matched by it. Required where there
	// is more than one app.
	ID string `koanf:"id" example:"shop"`

	// Name of the app's environment, a group in inngest; without one the
	// settings of inngest itself.
	Inngest string `koanf:"inngest" example:"prod"`

	// Path of the app at the gateway, where Inngest calls it.
	Path string `koanf:"path"`

	// Path prefixes of durable endpoints: routes of the app that Inngest
	// enters again as their client called them.
	DurableEndpoints []string `koanf:"durable_endpoints" example:"[/api/checkout]"`

	// Where the app is and how it is talked to.
	Upstream Upstream `koanf:"upstream"`

	// How calls to the app are signed: passthrough as Inngest did, resign with a
	// local key, strip not at all. In passthrough the app holds the real key and
	// verifies too; strip needs an app on this host.
	Signing Signing `koanf:"signing"`

	// Keys between the gateway and this app, in mode resign.
	Local Local `koanf:"local"`

	// What an unsigned sync request does: a hint lets the gateway sync the app
	// itself, at most once in 10 s; refuse answers 401.
	UnsignedSync UnsignedSync `koanf:"unsigned_sync"`

	// Whether the app's functions checkpoint, as SDKs do unless told otherwise.
	// Say false only where it is switched off in the app.
	Checkpointing *bool `koanf:"checkpointing" example:"false"`

	// Read the state of a run for the app where a call is too large to carry it
	// (use_api, from about 4 MiB), and put it into the call: for SDKs that do not
	// read it themselves. Bounded by limits.body.
	Hydrate bool `koanf:"hydrate"`

	// Compress large answers of this app.
	Compress bool `koanf:"compress"`

	// How long an outage of the app may last before runs are lost: refusals
	// spread a run's remaining attempts over it.
	OutageBudget time.Duration `koanf:"outage_budget"`

	// Where calls wait that the app cannot take now.
	Wait Wait `koanf:"wait"`

	// Calls that the app has at once.
	Concurrency Concurrency `koanf:"concurrency"`

	// Duplicates of calls.
	Guard Guard `koanf:"guard"`
}

// Signing is how call requests are verified and signed on both sides.
type Signing string

// The signing modes of an app.
const (
	SigningPassthrough Signing = "passthrough"
	SigningResign      Signing = "resign"
	SigningStrip       Signing = "strip"
)

func (Signing) accepts() []string {
	return []string{string(SigningPassthrough), string(SigningResign), string(SigningStrip)}
}

// UnsignedSync is what a sync request without signature does.
type UnsignedSync string

// The answers to an unsigned sync request.
const (
	UnsignedSyncHint   UnsignedSync = "hint"
	UnsignedSyncRefuse UnsignedSync = "refuse"
)

func (UnsignedSync) accepts() []string {
	return []string{string(UnsignedSyncHint), string(UnsignedSyncRefuse)}
}

// Local holds keys that are known to the gateway and one app only.
type Local struct {
	// Signing key of the app, signkey-<env>-<hex>. Never the real one.
	SigningKey Secret `koanf:"signing_key" example:"env:SHOP_SIGNING_KEY"`

	// Event key of the app. Never the real one.
	EventKey Secret `koanf:"event_key" example:"env:SHOP_EVENT_KEY"`
}

// An Upstream is the app as the gateway sees it: endpoints that serve the same.
type Upstream struct {
	// http://host:port, https://host:port, unix:///path, or dns+http://host:port
	// whose addresses are looked up again and again. Without a path.
	Endpoints []string `koanf:"endpoints" example:"[\"http://127.0.0.1:3000\"]"`

	// Path of the app at its endpoints; the same as at the gateway if not set.
	Path string `koanf:"path" example:"/api/inngest"`

	// Host header to send; the endpoint's own if not set.
	Host string `koanf:"host" example:"shop.internal"`

	// Time to connect to an endpoint, TLS included.
	DialTimeout time.Duration `koanf:"dial_timeout"`

	// Time for the head of an answer. A step may take 2 hours.
	AnswerTimeout time.Duration `koanf:"answer_timeout"`

	// Connections to each endpoint.
	Connections Connections `koanf:"connections"`

	// When an endpoint is taken out.
	Breaker Breaker `koanf:"breaker"`

	// How an endpoint is asked whether it is well.
	Probe Probe `koanf:"probe"`

	// Send a call again that was reset before a byte of its answer came. The
	// app may run a step twice: only with checkpointing: false.
	ResendAfterReset bool `koanf:"resend_after_reset"`

	// TLS to https endpoints.
	TLS TLS `koanf:"tls"`
}

// Connections bounds the connections to one endpoint.
type Connections struct {
	// Open connections, which is calls at once.
	Max int `koanf:"max"`

	// Connections that are kept without a call.
	Idle int `koanf:"idle"`

	// Idle connections are closed after this, sooner where the app says so by
	// Keep-Alive: timeout. Node closes after 5 s.
	IdleTimeout time.Duration `koanf:"idle_timeout"`

	// Connections are not used again after this, so that an app that shuts
	// down, or a new address, is not held up.
	MaxLifetime time.Duration `koanf:"max_lifetime"`

	// Time that a call waits for a connection to become free.
	Wait time.Duration `koanf:"wait"`
}

// Breaker is the circuit breaker of one endpoint. It opens at the first of
// its two thresholds.
type Breaker struct {
	// Failures in a row that open it; 0: not counted.
	ConsecutiveFailures int `koanf:"consecutive_failures"`

	// Share of failed calls in the window that opens it; 0: not counted.
	FailureRatio float64 `koanf:"failure_ratio"`

	// Calls in the window before the share counts.
	MinCalls int `koanf:"min_calls"`

	// Time over which calls are counted.
	Window time.Duration `koanf:"window"`

	// Time from opening to the first probe, and between probes.
	OpenFor time.Duration `koanf:"open_for"`

	// Good probes in a row that close it.
	Probes int `koanf:"probes"`
}

// A Probe asks an endpoint whether it is well: while its breaker is open, and
// every interval where one is set.
type Probe struct {
	// What is asked: sdk by an unsigned GET on the app's path, http by a GET on
	// path, tcp by a connection alone. Good are any answer of an SDK, any status
	// below 400, and a connection.
	Kind ProbeKind `koanf:"kind"`

	// Path for kind http.
	Path string `koanf:"path" example:"/healthz"`

	// Time for a probe; one without a verdict by then was a bad one.
	Timeout time.Duration `koanf:"timeout"`

	// Time between probes of an endpoint that is well; 0s: none are made.
	Interval time.Duration `koanf:"interval"`
}

// A ProbeKind says what a probe does.
type ProbeKind string

// The kinds of probes.
const (
	ProbeSDK  ProbeKind = "sdk"
	ProbeHTTP ProbeKind = "http"
	ProbeTCP  ProbeKind = "tcp"
)

func (ProbeKind) accepts() []string {
	return []string{string(ProbeSDK), string(ProbeHTTP), string(ProbeTCP)}
}

// TLS is how https endpoints prove themselves.
type TLS struct {
	// PEM file of authorities to believe instead of the system's.
	CAFile string `koanf:"ca_file" example:"/etc/ssl/shop-ca.pem"`

	// Name that the certificate must have; the endpoint's host if not set.
	ServerName string `koanf:"server_name" example:"shop.internal"`

	// Believe any certificate.
	Insecure bool `koanf:"insecure"`
}
