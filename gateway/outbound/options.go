package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Options configures a Server.
type Options struct {
	Environments []Environment // at least one; the first is for requests that do not say whose they are
	Apps         []App
	Registry     registry          // takes POST /fn/register
	Events       eventPlane        // takes POST /e/{key}
	Transport    http.RoundTripper // to Inngest, see [NewTransport]; shared with the Clients
	Budget       *budget.Budget    // bodies that are read whole are charged to it
	AppsURL      string            // base URL of this listener as workers reach it; empty: what their Host field says

	MaxHead        int           // bytes of a request's head, > 0
	MaxBody        int           // bytes of a body that is read whole and can be sent again, > 0; longer ones are streamed
	MaxConnections int           // open connections of apps, > 0
	HeadTimeout    time.Duration // for a head to arrive, > 0
	BodyTimeout    time.Duration // for a body that is read whole to arrive, > 0
	IdleTimeout    time.Duration // of a keep-alive connection between two requests, > 0
	AnswerTimeout  time.Duration // for Inngest to begin an ordinary answer, > 0
	StreamIdle     time.Duration // longest silence of a stream, an upload or a WebSocket, > 0

	Metrics *metrics.Outbound
	Log     *slog.Logger
}

// An Environment is one Inngest server or cloud environment.
type Environment struct {
	Name      string
	APIURL    string // base URL
	Keys      *Keys
	EventKey  string   // real event key; may be empty
	EventKeys []string // older real event keys, which apps may still send
	Branch    string   // X-Inngest-Env for requests that have none; may be empty

	api *url.URL
}

// An App is what tells the requests of one app from those of others. What its
// mode means here: with Passthrough the app has the real key and sends it; with
// Resign it must prove itself by a local key; with Strip nothing is asked, so
// the listener must be private.
type App struct {
	ID            string
	Environment   string // name of the Environment
	Mode          apps.Mode
	Local         signature.Keyring // its local keys; needed for Resign
	LocalEventKey string            // empty: none

	env    *Environment
	shared bool // its local signing key is another app's too, and does not tell them apart
}

func (o *Options) check() error {
	if len(o.Environments) == 0 {
		return errors.New("outbound: Environments is empty")
	}
	for i := range o.Environments {
		if err := o.Environments[i].check(); err != nil {
			return err
		}
	}
	for _, a := range o.Apps {
		switch {
		case a.Mode != apps.Passthrough && a.Mode != apps.Resign && a.Mode != apps.Strip:
			return fmt.Errorf("outbound: app %s: Mode is %q", a.ID, a.Mode)
		case a.Mode == apps.Resign && len(a.Local.All()) == 0:
			return fmt.Errorf("outbound: app %s: Local is empty; %s needs a key", a.ID, a.Mode)
		}
	}
	switch {
	case o.Registry == nil:
		return errors.New("outbound: Registry is missing")
	case o.Events == nil:
		return errors.New("outbound: Events is missing")
	case o.Transport == nil:
		return errors.New("outbound: Transport is missing")
	case o.Budget == nil:
		return errors.New("outbound: Budget is missing")
	case o.Metrics == nil:
		return errors.New("outbound: Metrics is missing")
	case o.Log == nil:
		return errors.New("outbound: Log is missing")
	}
	for name, n := range map[string]int64{
		"MaxHead": int64(o.MaxHead), "MaxBody": int64(o.MaxBody), "MaxConnections": int64(o.MaxConnections),
		"HeadTimeout": int64(o.HeadTimeout), "BodyTimeout": int64(o.BodyTimeout), "IdleTimeout": int64(o.IdleTimeout),
		"AnswerTimeout": int64(o.AnswerTimeout), "StreamIdle": int64(o.StreamIdle),
	} {
		if n <= 0 {
			return fmt.Errorf("outbound: %s is %d, must be above 0", name, n)
		}
	}
	if o.AppsURL == "" {
		return nil
	}
	if _, err := parseBase(o.AppsURL); err != nil {
		return fmt.Errorf("outbound: AppsURL: %w", err)
	}
	return nil
}

func (e *Environment) check() (err error) {
	if e.Keys == nil {
		return fmt.Errorf("outbound: environment %q: Keys is missing", e.Name)
	}
	if e.api, err = parseBase(e.APIURL); err != nil {
		return fmt.Errorf("outbound: environment %q: APIURL: %w", e.Name, err)
	}
	return nil
}

// parseBase reads a base URL: scheme and host, perhaps a path in front of the
// API's own.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return nil, fmt.Errorf("%q is no http or https URL of host and path", u.Redacted())
	}
	return u, nil
}

// TransportOptions configures the connections to Inngest.
type TransportOptions struct {
	DialTimeout     time.Duration                         // to connect, and again for the TLS handshake, > 0
	IdleConnections int                                   // kept per host, > 0
	IdleTimeout     time.Duration                         // an idle connection is closed after it, > 0
	MaxHead         int64                                 // bytes of an answer's head, > 0
	TLS             *tls.Config                           // may be nil
	Proxy           func(*http.Request) (*url.URL, error) // may be nil: none
}

// NewTransport returns the connection pool towards Inngest.
func NewTransport(o TransportOptions) (*http.Transport, error) {
	for name, n := range map[string]int64{
		"DialTimeout": int64(o.DialTimeout), "IdleConnections": int64(o.IdleConnections),
		"IdleTimeout": int64(o.IdleTimeout), "MaxHead": o.MaxHead,
	} {
		if n <= 0 {
			return nil, fmt.Errorf("outbound: transport: %s is %d, must be above 0", name, n)
		}
	}
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
		TLSHandshakeTimeout:    o.DialTimeout,
		TLSClientConfig:        o.TLS,
		Proxy:                  o.Proxy,
		MaxIdleConnsPerHost:    o.IdleConnections,
		IdleConnTimeout:        o.IdleTimeout,
		MaxResponseHeaderBytes: o.MaxHead,
		DisableCompression:     true, // bodies and codings pass as they are
		ForceAttemptHTTP2:      true,
	}, nil
}
