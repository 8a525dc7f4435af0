package deliver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// keys resolves the id of an event key: the key itself first, then those to be
// tried when Inngest does not take it.
type keys interface {
	EventKeys(environment, keyID string) (keys []string, ok bool)
}

// Options configures a Client.
type Options struct {
	Environments map[string]string // name to the base URL of its event API, "https://inn.gs"
	Transport    http.RoundTripper // follows no redirects, inflates nothing
	Keys         keys

	Timeout   time.Duration // for one POST with its answer, > 0
	MaxAnswer int64         // bytes of an answer that are read, > 0
	MaxBytes  int           // the largest body that the batcher makes; what Limit returns while nothing smaller is learnt, > 0
	Regrow    time.Duration // a learnt limit grows by a half each time that this has passed, > 0
	Remember  time.Duration // how long a fallback key that worked is tried first, > 0

	// Breaker is for each environment; App and Endpoint are set by New, so
	// is OnChange. ProbeTimeout must not be shorter than Timeout.
	Breaker breaker.Options

	Metrics *metrics.Deliver
	Log     *slog.Logger
}

func (o Options) check() error {
	if len(o.Environments) == 0 {
		return errors.New("deliver: Environments is empty")
	}
	for name, base := range o.Environments {
		if _, err := parseBase(base); err != nil {
			return fmt.Errorf("deliver: environment %q: %w", name, err)
		}
	}
	switch {
	case o.Transport == nil:
		return errors.New("deliver: Transport is missing")
	case o.Keys == nil:
		return errors.New("deliver: Keys is missing")
	case o.Timeout <= 0:
		return fmt.Errorf("deliver: Timeout is %v, must be above 0", o.Timeout)
	case o.MaxAnswer <= 0:
		return fmt.Errorf("deliver: MaxAnswer is %d, must be above 0", o.MaxAnswer)
	case o.MaxBytes <= 0:
		return fmt.Errorf("deliver: MaxBytes is %d, must be above 0", o.MaxBytes)
	case o.Regrow <= 0:
		return fmt.Errorf("deliver: Regrow is %v, must be above 0", o.Regrow)
	case o.Remember <= 0:
		return fmt.Errorf("deliver: Remember is %v, must be above 0", o.Remember)
	case o.Breaker.ProbeTimeout < o.Timeout:
		return fmt.Errorf("deliver: Breaker.ProbeTimeout is %v, must not be below Timeout, %v", o.Breaker.ProbeTimeout, o.Timeout)
	case o.Metrics == nil:
		return errors.New("deliver: Metrics is missing")
	case o.Log == nil:
		return errors.New("deliver: Log is missing")
	}
	return nil
}

// parseBase reads the URL of an event API. Its path is kept: some run it behind
// a prefix.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("has scheme %q, want http or https", u.Scheme)
	case u.Host == "":
		return nil, errors.New("has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has more than scheme, host and path")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}
