package outbound

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A fingerprint stands for a secret in a map: looking one up takes a time that
// tells nothing about the secrets in it.
type fingerprint [sha256.Size]byte

func fingerprintOf(secret string) fingerprint { return sha256.Sum256([]byte(secret)) }

// credentials knows every token and event key that a request may carry.
type credentials struct {
	local     map[fingerprint]*App         // local signing keys
	real      map[fingerprint]*Environment // real signing keys
	localKeys map[fingerprint]*App         // local event keys
	realKeys  map[fingerprint]*Environment // real event keys

	first       *Environment // where requests go that do not say who they are from
	passthrough bool         // an app brings its own token
	open        *Environment // environment of the apps that need no token; nil: there are none, or they disagree
	openEvents  *Environment // the same for apps without a local event key
}

func newCredentials(o *Options) (*credentials, error) {
	c := &credentials{
		local: map[fingerprint]*App{}, real: map[fingerprint]*Environment{},
		localKeys: map[fingerprint]*App{}, realKeys: map[fingerprint]*Environment{},
		first: &o.Environments[0],
	}
	byName := map[string]*Environment{}
	for i := range o.Environments {
		e := &o.Environments[i]
		if byName[e.Name] != nil {
			return nil, fmt.Errorf("outbound: two environments are called %q", e.Name)
		}
		byName[e.Name] = e
		for _, t := range e.Keys.tokens {
			c.real[fingerprintOf(tokenHash(t))] = e
		}
		for _, key := range append([]string{e.EventKey}, e.EventKeys...) {
			if key != "" {
				c.realKeys[fingerprintOf(key)] = e
			}
		}
	}
	open, openEvents := map[*Environment]bool{}, map[*Environment]bool{}
	for i := range o.Apps {
		a := &o.Apps[i]
		if a.env = byName[a.Environment]; a.env == nil {
			return nil, fmt.Errorf("outbound: app %s: no environment is called %q", a.ID, a.Environment)
		}
		if err := c.addLocal(a); err != nil {
			return nil, err
		}
		switch a.Mode {
		case apps.Passthrough:
			c.passthrough = true
		case apps.Strip:
			open[a.env] = true
			if a.LocalEventKey == "" {
				openEvents[a.env] = true
			}
		}
	}
	c.open, c.openEvents = only(open), only(openEvents)
	return c, nil
}

// addLocal notes an app's local keys. Two apps may share them only if they
// lead to the same environment, since the key is all that tells them apart.
func (c *credentials) addLocal(a *App) error {
	add := func(known map[fingerprint]*App, f fingerprint, what string) error {
		if other := known[f]; other != nil && other.env != a.env {
			return fmt.Errorf("outbound: apps %s and %s have the same local %s but different environments", other.ID, a.ID, what)
		}
		if known[f] == nil {
			known[f] = a
		}
		return nil
	}
	for _, key := range a.Local.All() {
		f := fingerprintOf(tokenHash(signature.BearerToken(key)))
		if c.real[f] != nil {
			return fmt.Errorf("outbound: app %s: its local signing key is the real one", a.ID)
		}
		if other := c.local[f]; other != nil && other != a {
			other.shared = true
		}
		if err := add(c.local, f, "signing key"); err != nil {
			return err
		}
	}
	if a.LocalEventKey != "" {
		if c.realKeys[fingerprintOf(a.LocalEventKey)] != nil {
			return fmt.Errorf("outbound: app %s: its local event key is the real one", a.ID)
		}
		return add(c.localKeys, fingerprintOf(a.LocalEventKey), "event key")
	}
	return nil
}

func only(set map[*Environment]bool) *Environment {
	if len(set) != 1 {
		return nil
	}
	for e := range set {
		return e
	}
	return nil
}

// tokenHash returns the hash in a token, without "signkey-<env>-": servers
// compare without it.
func tokenHash(token string) string {
	rest, ok := strings.CutPrefix(token, "signkey-")
	if !ok {
		return token
	}
	if _, hash, ok := strings.Cut(rest, "-"); ok {
		return hash
	}
	return token
}

// bearer returns the token of an Authorization field, empty if it has another
// scheme or none.
func bearer(authorization string) string {
	const scheme = "bearer "
	if len(authorization) > len(scheme) && strings.EqualFold(authorization[:len(scheme)], scheme) {
		return authorization[len(scheme):]
	}
	return ""
}

// who says whose token it is. SDKs send the hash of their key; the Go SDK
// sends the key itself with checkpoints and realtime messages, and servers
// take both.
func (c *credentials) who(token string) (app *App, env *Environment) {
	if token == "" {
		return nil, nil
	}
	forms := []string{tokenHash(token)}
	if key, err := signature.ParseKey(token); err == nil {
		forms = append(forms, tokenHash(signature.BearerToken(key)))
	}
	for _, form := range forms {
		f := fingerprintOf(form)
		if a := c.local[f]; a != nil {
			return a, a.env
		}
		if e := c.real[f]; e != nil {
			return nil, e
		}
	}
	return nil, nil
}

// A grant is what a request is sent with.
type grant struct {
	env            *Environment
	app            *App     // whose local key it was; nil if it was none
	authorizations []string // values of Authorization in the order to try them; "" is none
	exchanged      bool     // the caller must not learn what the real key is
}

// forRoute decides what a request on a route is sent with.
func (c *credentials) forRoute(q *request) (grant, *refusal) {
	authorization := q.authorization
	token := bearer(authorization)
	app, env := c.who(token)
	switch q.route.cred {
	case credKey, credKeyOrJWT:
		if env == nil {
			return c.forStranger(q, token)
		}
		if app != nil {
			return withReal(app, env), nil
		}
		return ownFirst(env, authorization, token), nil
	case credOwn:
		g := grant{env: c.orFirst(env), authorizations: []string{authorization}}
		if app != nil {
			g.authorizations[0] = "" // a local key means nothing to Inngest, and is nobody's business there
		}
		return g, nil
	default:
		return grant{env: c.orFirst(env), authorizations: []string{""}}, nil
	}
}

// forStranger decides on a request whose token, if it has one, is not known.
func (c *credentials) forStranger(q *request, token string) (grant, *refusal) {
	asItIs := grant{env: c.first, authorizations: []string{q.authorization}}
	switch {
	case q.route.cred == credKeyOrJWT && looksLikeJWT(token):
		return asItIs, nil
	case c.needsNone(q):
		return withReal(nil, c.open), nil
	case c.passthrough || c.first.Keys.empty():
		return asItIs, nil
	}
	return grant{}, c.refuse(q)
}

// forRegister decides whether a registration is believed. Here a token that
// only Inngest could judge is not enough: the gateway sends the registration
// with the real key.
func (c *credentials) forRegister(q *request) (grant, *refusal) {
	app, env := c.who(bearer(q.authorization))
	switch {
	case env != nil:
		return grant{env: env, app: app}, nil
	case c.needsNone(q):
		return grant{env: c.open}, nil
	case c.first.Keys.empty():
		return grant{env: c.first}, nil
	}
	return grant{}, c.refuse(q)
}

// needsNone tells whether a request without a known token is taken for one of
// an app in mode strip. Such an app may send any token or none, since nobody
// checks it; next to apps that bring their own, a token stands for one of them.
// A page in a browser on this host could send the same request and is no app.
func (c *credentials) needsNone(q *request) bool {
	return c.open != nil && !q.browser() && (q.authorization == "" || !c.passthrough)
}

// refuse says what is wrong with the token of a request, and what to do.
func (c *credentials) refuse(q *request) *refusal {
	const remedy = "; it went nowhere. Give the app as its signing key the local.signing_key that the gateway's configuration has for it."
	switch {
	case c.open != nil && q.browser():
		return unauthorized("The request may come from a page in a browser: it has an Origin, or a Host that is neither an address nor localhost" + remedy)
	case q.authorization == "":
		return unauthorized("The request has no token" + remedy)
	default:
		return unauthorized("The request has a token that the gateway does not know" + remedy)
	}
}

// forEvent decides which event key a request is sent with.
func (c *credentials) forEvent(q *request) (env *Environment, real string, r *refusal) {
	key := q.segments[1]
	f := fingerprintOf(key)
	if a := c.localKeys[f]; a != nil {
		return a.env, cmp.Or(a.env.EventKey, key), nil
	}
	if e := c.realKeys[f]; e != nil {
		return e, key, nil
	}
	switch {
	case c.passthrough:
		return c.first, key, nil // Inngest knows more keys than we do
	case c.openEvents != nil && !q.browser():
		return c.openEvents, cmp.Or(c.openEvents.EventKey, key), nil
	case c.first.EventKey == "":
		return c.first, key, nil
	}
	return nil, "", unauthorized("Event key not found: it is not the local.event_key of an app in the gateway's configuration")
}

func (c *credentials) orFirst(e *Environment) *Environment {
	if e == nil {
		return c.first
	}
	return e
}

// withReal puts the real keys in the place of a local one.
func withReal(app *App, env *Environment) grant {
	g := grant{env: env, app: app, exchanged: true}
	for _, t := range env.Keys.order() {
		g.authorizations = append(g.authorizations, "Bearer "+t)
	}
	if len(g.authorizations) == 0 {
		g.authorizations = []string{""}
	}
	return g
}

// ownFirst sends a caller's own real key as it is, and the other keys of its
// environment after it; the order changes while another is known to work.
func ownFirst(env *Environment, authorization, token string) grant {
	g := grant{env: env}
	own := tokenHash(token)
	if key, err := signature.ParseKey(token); err == nil && !knows(env, own) {
		own = tokenHash(signature.BearerToken(key))
	}
	order := env.Keys.order()
	if env.Keys.preferred() == 0 {
		g.authorizations = append(g.authorizations, authorization)
	}
	for _, t := range order {
		if tokenHash(t) != own {
			g.authorizations = append(g.authorizations, "Bearer "+t)
		} else if env.Keys.preferred() != 0 {
			g.authorizations = append(g.authorizations, authorization)
		}
	}
	return g
}

func knows(env *Environment, hash string) bool {
	for _, t := range env.Keys.tokens {
		if tokenHash(t) == hash {
			return true
		}
	}
	return false
}

// looksLikeJWT tells tokens that Inngest gives out from signing keys.
func looksLikeJWT(token string) bool {
	return strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey")
}
