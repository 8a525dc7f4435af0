package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/outbound"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// rememberKey is how long a fallback key that worked is tried first.
const rememberKey = 5 * time.Minute

// environment is one Inngest environment with what is shared by everything
// that talks to it.
type environment struct {
	config.Environment
	name   string // empty for the one of apps that name none
	ring   signature.Keyring
	keys   *outbound.Keys
	client *outbound.Client
}

// newEnvironments builds the environments by name; the one without a name has
// the empty one. It is left out where every app is in one with a name and it has
// no key: it is nobody's, and without a key anybody would be believed to be in it.
func newEnvironments(c *config.Config, transport http.RoundTripper) (map[string]*environment, error) {
	built := map[string]*environment{}
	add := func(name string, e config.Environment) error {
		ring, err := keyring(e)
		if err != nil {
			return fmt.Errorf("inngest %s: %w", name, err)
		}
		keys := outbound.NewKeys(ring, rememberKey)
		client, err := outbound.NewClient(outbound.ClientOptions{
			APIURL:    e.APIURL,
			Keys:      keys,
			Transport: transport,
			Branch:    e.Env,
			MaxAnswer: int64(c.Limits.Answer),
			Timeout:   c.Sync.Timeout,
		})
		if err != nil {
			return fmt.Errorf("inngest %s: %w", name, err)
		}
		built[name] = &environment{e, name, ring, keys, client}
		return nil
	}
	used := slices.ContainsFunc(c.Apps, func(a config.App) bool { return a.Inngest == "" }) ||
		slices.ContainsFunc(c.FunctionApps, func(a config.FunctionApp) bool { return a.Inngest == "" })
	if used || len(c.Inngest.Named) == 0 || !c.Inngest.SigningKey.IsZero() {
		if err := add("", c.Inngest.Environment); err != nil {
			return nil, err
		}
	}
	for name, e := range c.Inngest.Named {
		if err := add(name, e); err != nil {
			return nil, err
		}
	}
	return built, nil
}

// keyring reads the real keys. The configuration was checked, so an error is
// that of a configuration that was not.
func keyring(e config.Environment) (signature.Keyring, error) {
	var ring signature.Keyring
	for i, secret := range append([]config.Secret{e.SigningKey, e.SigningKeyFallback}, e.SigningKeys...) {
		if secret.IsZero() {
			continue
		}
		key, err := signature.ParseKey(secret.Reveal())
		if err != nil {
			return signature.Keyring{}, err
		}
		if i == 0 {
			ring.Current = key
			continue
		}
		ring.Others = append(ring.Others, key)
	}
	if ring.Current.IsZero() && len(ring.Others) > 0 {
		return signature.Keyring{}, errors.New("a fallback key without a signing key")
	}
	return ring, nil
}
