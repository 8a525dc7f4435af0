package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// A Config is the whole configuration of one gateway, complete and checked if
// it came from [Load].
type Config struct {
	// Do not verify signatures of call requests, for development only.
	// INNGEST_DEV=1, or a URL there, sets it.
	InsecureSkipVerify bool `koanf:"insecure_skip_verify"`

	// The Inngest server and what proves who we are to each other. For apps of
	// several environments, groups of the same settings under names of your
	// choice stand in it too, and apps[].inngest tells which one is an app's.
	Inngest Inngest `koanf:"inngest"`

	// Addresses to listen at: host:port, :port for every interface, or unix:///path.
	Listen Listen `koanf:"listen"`

	// URL under which Inngest reaches this gateway; registered URLs are made of
	// it and the app's path. Without it INNGEST_SERVE_ORIGIN, else the URL in
	// the first signed sync.
	PublicURL string `koanf:"public_url" example:"https://inngest-gw.example.com"`

	// Folder for what must survive a restart; without one it is kept in memory,
	// with a warning at start.
	StateDir string `koanf:"state_dir" example:"/var/lib/inngest-gateway"`

	// Bounds of what callers can make the gateway hold.
	Limits Limits `koanf:"limits"`

	// Apps that are served through the gateway.
	Apps []App `koanf:"apps"`

	// Functions whose backends have no SDK, one group each; docs/functions.md
	// has their settings. In a variable or behind a flag they are YAML or JSON.
	Functions Functions `koanf:"functions" example:"[{id: hello, triggers: [{event: demo/hello}], endpoint: \"http://127.0.0.1:9000/hello\"}]"`

	// Apps that serve these functions; one with the defaults below if there is none.
	FunctionApps []FunctionApp `koanf:"function_apps"`

	// Events that apps send.
	Events Events `koanf:"events"`

	// Compression of answers towards Inngest.
	Compression Compression `koanf:"compression"`

	// Requests of apps to Inngest.
	Outbound Outbound `koanf:"outbound"`

	// Registration of functions with Inngest.
	Sync Sync `koanf:"sync"`

	// What may take how long when the gateway goes away.
	Drain Drain `koanf:"drain"`

	// Log output.
	Log Log `koanf:"log"`

	// The admin listener.
	Admin Admin `koanf:"admin"`

	// Networks whose X-Forwarded-For, -Proto and -Host are believed, nobody's by
	// default.
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies" example:"[10.0.0.0/8]"`

	file string // where it was read from; empty if there was no file
}

// File returns the path of the YAML file that the configuration was read from,
// empty if there was none.
func (c *Config) File() string { return c.file }

// Inngest is the environments of Inngest servers that apps belong to.
type Inngest struct {
	Environment                        // of apps that name none
	Named       map[string]Environment `koanf:"*"`
}

// Environment is one environment of an Inngest server.
type Environment struct {
	// Signing key, signkey-<env>-<hex>. Required unless insecure_skip_verify is set.
	SigningKey Secret `koanf:"signing_key" example:"env:INNGEST_SIGNING_KEY"`

	// Key that is also believed, and tried when Inngest refuses the first;
	// during a rotation. A reference to an unset variable means none.
	SigningKeyFallback Secret `koanf:"signing_key_fallback" example:"env:INNGEST_SIGNING_KEY_FALLBACK" optional:"true"`

	// Further keys that are believed, for rotations in several steps.
	SigningKeys []Secret `koanf:"signing_keys" example:"[file:/run/secrets/inngest-signing-key-old]"`

	// Event key that replaces the local one of apps in mode resign or strip.
	EventKey Secret `koanf:"event_key" example:"env:INNGEST_EVENT_KEY"`

	// Event keys that are tried when Inngest refuses the first, during a rotation.
	// Events of apps that use one of them are sent with the first.
	EventKeys []Secret `koanf:"event_keys" example:"[file:/run/secrets/inngest-event-key-old]"`

	// Base URL of the server's API: registration, checkpoints, REST.
	APIURL string `koanf:"api_url"`

	// Base URL of the server's event API.
	EventURL string `koanf:"event_url"`

	// Name of the branch environment, sent as X-Inngest-Env where an app sends none.
	Env string `koanf:"env" example:"my-branch"`

	// How far the time of a signature may be off, in both directions.
	SignatureTolerance time.Duration `koanf:"signature_tolerance"`
}

// Listen holds the addresses of the three listeners.
type Listen struct {
	// Call requests and syncs of Inngest.
	Inngest string `koanf:"inngest"`

	// Events, registrations and REST calls of apps.
	Apps string `koanf:"apps"`

	// Health, metrics, control.
	Admin string `koanf:"admin"`
}

// Limits bounds memory, sizes and slowness of what comes in from Inngest.
type Limits struct {
	// Memory for the whole process: a size, or a percentage of what there is
	// (its cgroup's limit, else the host's). Bodies get what the process does
	// not need itself, and half of it at least.
	Memory Portion `koanf:"memory"`

	// Part of the memory for bodies that only answers may use: one that finds
	// no room costs the attempt of a step that has run.
	AnswerReserve Portion `koanf:"answer_reserve"`

	// Body of one request.
	Body Size `koanf:"body"`

	// Body of one answer of an app, where it is not streamed.
	Answer Size `koanf:"answer"`

	// Head of one request or answer: its first line and header lines.
	Head Size `koanf:"head"`

	// Request target: path and query.
	URI Size `koanf:"uri"`

	// Open connections on each of the two listeners. At the limit the oldest
	// idle one of Inngest's goes; on the apps listener a new one is refused.
	Connections int `koanf:"connections"`

	// Time for a head to arrive.
	HeadTimeout time.Duration `koanf:"head_timeout"`

	// Bytes a second that an unverified body must at least arrive with.
	BodyMinRate Size `koanf:"body_min_rate"`

	// Idle connections of callers are closed after this, which should be longer
	// than a load balancer keeps them, or it meets closed ones.
	IdleTimeout time.Duration `koanf:"idle_timeout"`

	// Time for one write of an answer to make progress.
	WriteTimeout time.Duration `koanf:"write_timeout"`

	// How long reading a body pauses for memory before the call is refused.
	MemoryWait time.Duration `koanf:"memory_wait"`

	// Largest body that is also verified in canonical form (RFC 8785) when its
	// raw bytes do not match the signature.
	Canonical Size `koanf:"canonical"`
}

// Compression says which answers are compressed towards Inngest.
type Compression struct {
	// Compress answers with gzip or br, where Inngest offers it. False switches
	// it off for every app.
	Enabled bool `koanf:"enabled"`

	// Smaller answers are sent as they are.
	MinSize Size `koanf:"min_size"`
}

// Outbound is how requests of apps reach Inngest.
type Outbound struct {
	// Time to connect to Inngest, TLS included.
	DialTimeout time.Duration `koanf:"dial_timeout"`

	// Base URL of the apps listener as Connect workers reach it; without one,
	// what their Host header says.
	URL string `koanf:"url" example:"http://gateway.internal:8481"`

	// Time for the head of Inngest's answer; some answers take 5 minutes by design.
	AnswerTimeout time.Duration `koanf:"answer_timeout"`

	// Time for the body of an app's request to arrive, where it is not streamed.
	BodyTimeout time.Duration `koanf:"body_timeout"`

	// Longest silence of a stream, an upload or a WebSocket.
	StreamIdle time.Duration `koanf:"stream_idle"`

	// Idle connections that are kept per host of Inngest.
	IdleConnections int `koanf:"idle_connections"`

	// Idle connections to Inngest are closed after this.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
}

// Sync is how apps are registered.
type Sync struct {
	// How often the last good registration of each app is told again, so that
	// a server that forgot its apps has them back; 0s: never.
	Retell time.Duration `koanf:"retell"`

	// Time for one registration, and for an app to answer a sync.
	Timeout time.Duration `koanf:"timeout"`

	// What the server expects: a registration, an in-band answer, or find out.
	Dialect Dialect `koanf:"dialect"`
}

// A Dialect is a way in which functions become known to a server.
type Dialect string

// The dialects of a server.
const (
	DialectAuto     Dialect = "auto"
	DialectRegister Dialect = "register"
	DialectInBand   Dialect = "in_band"
)

func (Dialect) accepts() []string {
	return []string{string(DialectAuto), string(DialectRegister), string(DialectInBand)}
}

// Drain bounds the phases of going away, in their order.
type Drain struct {
	// Time between "not ready" and the closing of listeners; 5s in Kubernetes,
	// where load balancers learn late.
	Delay time.Duration `koanf:"delay"`

	// Time for running calls to finish. One that is cut burns an attempt.
	Calls time.Duration `koanf:"calls"`

	// Time for requests of apps to finish.
	Apps time.Duration `koanf:"apps"`

	// Time for events that were taken to reach Inngest or the spool.
	Events time.Duration `koanf:"events"`
}

// Log is what is logged and how.
type Log struct {
	// Least important lines that are written: debug, info, warn or error.
	Level slog.Level `koanf:"level"`

	// Form of the lines: json, or text for people.
	Format LogFormat `koanf:"format"`

	// One in so many successful calls is logged; failures always are.
	Sample int `koanf:"sample"`

	// Lines that may wait for a slow reader; more are dropped and counted.
	Buffer int `koanf:"buffer"`
}

// A LogFormat is the form of log lines.
type LogFormat string

// The forms of log lines.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

func (LogFormat) accepts() []string { return []string{string(LogJSON), string(LogText)} }

// Admin is what the admin listener offers.
type Admin struct {
	// Serve /debug/pprof.
	Pprof bool `koanf:"pprof"`

	// Bearer token for what changes state; without one only loopback may.
	Token Secret `koanf:"token" example:"file:/run/secrets/admin-token"`
}
