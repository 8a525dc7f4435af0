package devserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// said is an error in the server's own words, which apps may look for.
type said string

func (e said) Error() string { return string(e) }

const (
	errAppID           = said("App ID required") // no appName (recording 38)
	errInvalidFunction = said("At least one function is invalid")
)

// handleRegister is POST /fn/register.
func (s *Server) handleRegister(w http.ResponseWriter, r *http.Request) {
	want := r.Header.Get(inngest.HeaderExpectedServerKind)
	if want != "" && want != s.opts.ServerKind {
		s.plainError(w, http.StatusBadRequest, fmt.Sprintf("Expected server kind %s, got %s", s.opts.ServerKind, want))
		return
	}
	if s.opts.Dialect == InBandOnly {
		// No recording: such a server is under discussion only (inngest#4136).
		s.apiError(w, http.StatusBadRequest, "This server takes in-band syncs only")
		return
	}
	var reg inngest.RegisterRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inngest.MaxAnswerBytes)).Decode(&reg); err != nil {
		s.plainError(w, http.StatusBadRequest, "Invalid request: "+err.Error())
		return
	}
	a, modified, err := s.register(reg, "register")
	if err != nil {
		s.log.Warn("registration refused", "app", reg.AppName, "err", err)
		s.apiError(w, http.StatusBadRequest, publicText(err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // as recorded
	w.Write(marshal(inngest.RegisterResult{OK: true, Modified: modified, SyncID: uuid.NewString(), AppID: a.id}))
}

// publicText is what an answer says of a refused registration: the server
// hides the cause.
func publicText(err error) string {
	if errors.Is(err, errAppID) {
		return errAppID.Error()
	}
	return errInvalidFunction.Error()
}

// register takes an app's functions in place of those it had.
func (s *Server) register(reg inngest.RegisterRequest, kind string) (*app, bool, error) {
	if reg.AppName == "" {
		return nil, false, errAppID
	}
	configs := make([]inngest.Function, len(reg.Functions))
	for i, raw := range reg.Functions {
		if err := json.Unmarshal(raw, &configs[i]); err != nil {
			return nil, false, fmt.Errorf("%w: %w", errInvalidFunction, err)
		}
		if err := s.match.checkFunction(&configs[i]); err != nil {
			return nil, false, fmt.Errorf("%w: %w", errInvalidFunction, err)
		}
	}
	sum := checksum(reg)

	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.st.apps[reg.AppName]
	if old != nil && old.checksum == sum {
		old.synced = s.opts.Clock.Now()
		s.notify()
		return old, false, nil
	}
	a := &app{
		id: appUUID(reg.AppName), name: reg.AppName, url: normalURL(reg.URL), sdk: reg.SDK, framework: reg.Framework,
		checksum: sum, synced: s.opts.Clock.Now(), kind: kind,
	}
	for _, c := range configs {
		a.functions = append(a.functions, s.newFunction(a, c, old))
	}
	if old != nil {
		s.stopCrons(old)
	}
	s.st.apps[a.name] = a
	s.startCrons(a)
	s.notify()
	s.log.Info("app registered", "app", a.name, "functions", len(a.functions), "url", a.url, "sdk", a.sdk)
	return a, true, nil
}

func (s *Server) newFunction(a *app, c inngest.Function, old *app) *function {
	f := &function{
		id: uuid.NewSHA1(uuid.NameSpaceOID, []byte(a.name+"\x00"+c.ID)).String(), slug: c.ID, name: c.Name, app: a,
		retries: c.EffectiveRetries(), config: c, version: 1,
	}
	for _, step := range c.Steps { // there is one
		f.url = normalURL(step.Runtime.URL)
	}
	if old != nil {
		if i := slices.IndexFunc(old.functions, func(o *function) bool { return o.slug == f.slug }); i >= 0 {
			f.version = old.functions[i].version + 1
		}
	}
	return f
}

// appUUID is the id that the server derives from an app's name (recordings 1,
// 37 and 126 hold three pairs).
func appUUID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String()
}

// checksum tells two registrations apart: also by the order of the functions,
// as on server 1.43, so that Go's SDK, which lists them in another order each
// time, modifies its app with every sync.
func checksum(reg inngest.RegisterRequest) string {
	reg.Extra = maps.Clone(reg.Extra)
	delete(reg.Extra, "featureObservations")
	h := sha256.New()
	h.Write(marshal(reg))
	return hex.EncodeToString(h.Sum(nil))
}

// normalURL names loopback "localhost" and leaves default ports and the
// server's own query parameters out, as every recorded PUT and call shows.
func normalURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	q.Del("deployId")
	q.Del("probe")
	u.RawQuery = q.Encode()
	host, port := u.Hostname(), u.Port()
	if port == "" {
		return u.String()
	}
	if port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		port = ""
	}
	if host == "127.0.0.1" || host == "0.0.0.0" {
		host = "localhost"
	}
	u.Host = host
	if port != "" {
		u.Host = host + ":" + port
	}
	return u.String()
}

// functionBySlug finds a registered function. The caller holds the lock.
func (s *Server) functionBySlug(slug string) *function {
	for _, a := range s.st.apps {
		for _, f := range a.functions {
			if f.slug == slug {
				return f
			}
		}
	}
	return nil
}
