package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// ProbeKind is how the gateway itself asks an endpoint whether it is well.
type ProbeKind string

// The kinds of probes.
const (
	ProbeSDK  ProbeKind = "sdk"  // unsigned GET on ProbePath: any answer of an SDK is good, a 401 too
	ProbeHTTP ProbeKind = "http" // GET on ProbePath: a status below 400 is good
	ProbeTCP  ProbeKind = "tcp"  // a connection is good
)

// longestStep is how long the server itself waits for an answer.
const longestStep = 2 * time.Hour

// Options configures an Upstream.
type Options struct {
	App       string   // id of the app, for logs and labels
	Endpoints []string // at least one: http://host:port, https://host:port, unix:///path, dns+http://host:port; without a path
	Host      string   // Host header to send; that of the endpoint if empty
	TLS       *tls.Config

	DialTimeout   time.Duration // to connect, TLS included, > 0
	AnswerTimeout time.Duration // longest silence of the app: until the head of its answer, then between two pieces of the body; 0: 2 hours
	MaxConns      int           // connections to one endpoint, which is calls at once, > 0
	MaxIdle       int           // connections without a call that are kept, >= 0
	IdleTimeout   time.Duration // how long one is kept, > 0; Keep-Alive: timeout=N of the app counts instead, less a second
	MaxLifetime   time.Duration // of a connection, > 0; each lives up to a tenth shorter, so that they do not end together
	Wait          time.Duration // for a connection to become free, >= 0
	MaxHead       int           // bytes of an answer's head, > 0
	MaxAnswer     int           // bytes of a body that is not streamed, > 0

	ResendAfterReset bool // send a call once more when the connection broke before a byte of its answer came

	ResolveInterval time.Duration // between lookups of a dns+http endpoint, > 0 if there is one
	Probe           ProbeKind
	ProbePath       string        // for ProbeSDK the app's path
	HealthInterval  time.Duration // between probes of an endpoint that is well, 0: none

	Breaker breaker.Options // thresholds and ProbeTimeout; App, Endpoint and OnChange are set here
	Budget  *budget.Budget
	Metrics *metrics.Pool
	Log     *slog.Logger

	// Dial and Lookup replace the network; nil means the real one. What Dial
	// returns may have a method Peek() (waiting int, err error) that tells
	// without blocking whether bytes wait or the connection is closed. What is
	// neither a socket nor has it is used for one call only.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (o *Options) check() error {
	switch {
	case o.App == "":
		return errors.New("App is missing")
	case len(o.Endpoints) == 0:
		return errors.New("Endpoints is empty")
	case strings.ContainsFunc(o.Host, notInHost):
		return fmt.Errorf("Host %q is no host name", o.Host)
	case o.AnswerTimeout < 0 || o.AnswerTimeout > longestStep:
		return fmt.Errorf("AnswerTimeout is %v, must be from 0 to %v", o.AnswerTimeout, longestStep)
	case o.MaxIdle < 0:
		return fmt.Errorf("MaxIdle is %d, must not be below 0", o.MaxIdle)
	case o.Wait < 0:
		return fmt.Errorf("Wait is %v, must not be below 0", o.Wait)
	case o.HealthInterval < 0:
		return fmt.Errorf("HealthInterval is %v, must not be below 0", o.HealthInterval)
	case o.Budget == nil:
		return errors.New("Budget is missing")
	case o.Metrics == nil:
		return errors.New("Metrics is missing")
	case o.Log == nil:
		return errors.New("Log is missing")
	}
	if err := o.checkPositive(); err != nil {
		return err
	}
	return o.checkProbe()
}

func (o *Options) checkPositive() error {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"DialTimeout", int64(o.DialTimeout)},
		{"MaxConns", int64(o.MaxConns)},
		{"IdleTimeout", int64(o.IdleTimeout)},
		{"MaxLifetime", int64(o.MaxLifetime)},
		{"MaxHead", int64(o.MaxHead)},
		{"MaxAnswer", int64(o.MaxAnswer)},
	} {
		if v.value <= 0 {
			return fmt.Errorf("%s is %d, must be above 0", v.name, v.value)
		}
	}
	return nil
}

func (o *Options) checkProbe() error {
	switch o.Probe {
	case ProbeTCP:
		return nil
	case ProbeSDK, ProbeHTTP:
		if !validTarget([]byte(o.ProbePath)) {
			return fmt.Errorf("ProbePath is %q, must be a path", o.ProbePath)
		}
		return nil
	default:
		return fmt.Errorf("Probe is %q, must be sdk, http or tcp", o.Probe)
	}
}

// notInHost finds what could end a Host line or change its meaning.
func notInHost(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/@?#\\", r) }
