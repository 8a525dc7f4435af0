package gateway

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// Variables that decide about the keys of a Dev.
const (
	signingKeyVariable = "INNGEST_SIGNING_KEY"
	eventKeyVariable   = "INNGEST_EVENT_KEY"
)

// A devConfig is the configuration of a Dev: the user's, with the development
// server in the place of the real one.
type devConfig struct {
	*config.Config
	signingKey, eventKey string          // of the development server
	made                 map[string]bool // what was made up here: paths of settings, names of variables
}

// newDevConfig loads a configuration. One without an app gets the sample app,
// whose URL sample returns. Keys that it refers to and that are not there, as on
// a machine that is not the one it was written for, are made up.
func newDevConfig(s config.Sources, inngestURL string, sample func() (string, error)) (*devConfig, error) {
	c := &devConfig{made: map[string]bool{}}
	c.signingKey = c.keyOf(s.Env, signingKeyVariable, NewSigningKey)
	c.eventKey = c.keyOf(s.Env, eventKeyVariable, NewEventKey)
	s.Env = devEnviron(s.Env,
		signingKeyVariable+"="+c.signingKey,
		eventKeyVariable+"="+c.eventKey,
		"INNGEST_BASE_URL="+inngestURL,
	)
	cfg, err := config.Load(s)
	var problems config.Problems
	if errors.As(err, &problems) {
		more, serr := c.supply(problems, sample)
		if serr != nil {
			return nil, serr
		}
		s.Env = append(s.Env, more...)
		cfg, err = config.Load(s)
	}
	if err != nil {
		return nil, err
	}
	for setting, address := range map[string]string{"listen.inngest": cfg.Listen.Inngest, "listen.apps": cfg.Listen.Apps} {
		if network, _ := config.NetworkAddress(address); network != "tcp" {
			return nil, fmt.Errorf("%s is %q, want host:port or :port: the development server and apps need a URL", setting, address)
		}
	}
	c.Config = cfg
	c.adapt(inngestURL)
	if slices.ContainsFunc(problems, lacksApp) {
		c.Apps[0].ID = SampleID
	}
	return c, nil
}

// keyOf returns the value of a variable, or a key that it makes.
func (c *devConfig) keyOf(environ []string, variable string, makeKey func() string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, variable+"="); ok && strings.TrimSpace(value) != "" {
			return strings.TrimSpace(value)
		}
	}
	c.made[variable] = true
	return makeKey()
}

// devEnviron returns the environment with what the embedded server decides.
// INNGEST_DEV and the URLs of another server would lead past it. How logs look
// is the user's choice; by default only what goes wrong is told.
func devEnviron(environ []string, set ...string) []string {
	ours := []string{
		"INNGEST_DEV", "INNGEST_API_BASE_URL", "INNGEST_EVENT_API_BASE_URL", "INNGEST_SIGNING_KEY_FALLBACK",
		"INNGEST_SERVE_ORIGIN",
	}
	out := []string{"GATEWAY_LOG__FORMAT=text", "GATEWAY_LOG__LEVEL=warn"}
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); !slices.Contains(ours, name) {
			out = append(out, entry)
		}
	}
	return append(out, set...)
}

var secretPath = regexp.MustCompile(`(_key|_key_fallback|\.signing_keys\[\d+\]|\.token)$`)

func lacksApp(p config.Problem) bool { return p.Path == "apps" && p.Got == "not set" }

// lacksKey tells whether a secret is referred to that is not there, or a local
// key is needed and not set.
func lacksKey(p config.Problem) bool {
	if !secretPath.MatchString(p.Path) {
		return false
	}
	return strings.HasPrefix(p.Got, `"env:`) || strings.HasPrefix(p.Got, `"file:`) ||
		p.Got == "not set" && strings.HasSuffix(p.Path, ".local.signing_key")
}

// supply returns the variables that make up for what is missing.
func (c *devConfig) supply(problems config.Problems, sample func() (string, error)) ([]string, error) {
	var set []string
	for _, p := range problems {
		switch {
		case lacksApp(p):
			url, err := sample()
			if err != nil {
				return nil, err
			}
			set = append(set, "GATEWAY_APP_URL="+url)
		case lacksKey(p):
			key := NewSigningKey()
			if strings.HasSuffix(p.Path, "event_key") {
				key = NewEventKey()
			}
			c.made[p.Path] = true
			set = append(set, config.VariableOf(p.Path)+"="+key)
		}
	}
	return set, nil
}

// adapt replaces what belongs to the real Inngest and to a gateway that serves
// it: the server and every environment of it, the URLs and the state under which
// apps are registered there, and the patience with load balancers.
func (c *devConfig) adapt(inngestURL string) {
	c.InsecureSkipVerify = false
	c.Inngest = config.Inngest{Environment: config.Environment{
		SigningKey:         config.NewSecret(c.signingKey),
		EventKey:           config.NewSecret(c.eventKey),
		APIURL:             inngestURL,
		EventURL:           inngestURL,
		SignatureTolerance: c.Inngest.SignatureTolerance,
	}}
	for i := range c.Apps {
		c.Apps[i].Inngest = ""
	}
	for i := range c.FunctionApps {
		c.FunctionApps[i].Inngest = ""
	}
	c.PublicURL, c.Outbound.URL, c.StateDir = "", "", ""
	c.Sync.Dialect = config.DialectAuto
	c.Drain.Delay = 0
	c.Admin.Token = config.Secret{}
}

// served counts the apps that the gateway serves.
func (c *devConfig) served() int { return len(c.Apps) + len(c.FunctionApps) }
