package apps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A telling is one registration on its way to the server.
type telling struct {
	manifest   *manifest
	number     uint64      // of the question or registration that brought it
	query      string      // for /fn/register
	serverKind string      // that the server is expected to be of; empty: any
	header     http.Header // further fields of the app's own registration
	answered   bool        // the server hears it in the answer to its PUT: nothing is posted
}

// A verdict is what became of it.
type verdict struct {
	result   Result
	manifest *manifest // as it was told, with the gateway's URLs
	kept     bool      // the server has no /fn/register: it will hear it in the answer to its own PUT
}

// ok tells whether the manifest is now the one that counts.
func (v *verdict) ok() bool { return v.kept || v.result.Status < 300 }

// err returns why it is not, in the server's words.
func (v *verdict) err() error {
	if v.ok() {
		return nil
	}
	return fmt.Errorf("the Inngest server refused the registration with status %d: %.200s", v.result.Status, v.message())
}

// message returns the error in the server's answer.
func (v *verdict) message() string {
	var body struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(v.result.Body, &body) // else it says nothing
	switch {
	case body.Error != "":
		return body.Error
	case body.Message != "":
		return body.Message
	default:
		return "Failed to register; status code: " + fmt.Sprint(v.result.Status)
	}
}

// modified tells whether the server found something new.
func (v *verdict) modified() bool {
	var body inngest.RegisterResult
	return json.Unmarshal(v.result.Body, &body) == nil && body.Modified
}

// tell posts a manifest to the app's server and keeps it if the server takes
// it. A manifest that the server could not be told is told again by Run; an
// error means that this is so, or that there is no public URL.
func (r *Registry) tell(ctx context.Context, a *app, t telling) (*verdict, error) {
	select {
	case a.telling <- struct{}{}:
		defer func() { <-a.telling }()
	case <-ctx.Done():
		return nil, &Error{inngest.CodeInngestUnavailable, errors.New("an earlier registration of the app has not ended"), context.Cause(ctx)}
	}
	base := a.base()
	if base == nil {
		return nil, errNoPublicURL()
	}
	m, err := t.manifest.at(base)
	if err != nil {
		return nil, err
	}
	v := &verdict{manifest: m, kept: t.answered || a.server.dialect == DialectInBand}
	if a.superseded(t.number) {
		v.result = registered(false)
		return v, nil
	}
	if !v.kept {
		if v.result, err = a.server.registrar.Register(ctx, t.post(m)); err != nil {
			a.postpone(m, t.number)
			return nil, &Error{inngest.CodeInngestUnavailable, errUntold, err}
		}
	}
	switch status := v.result.Status; {
	case v.kept:
	case hasNoRegister(status) && a.server.dialect == DialectAuto:
		v.kept = true
		if a.server.learn(true) {
			r.opts.Log.Warn("Inngest has no /fn/register: registrations are kept for its own in-band syncs",
				"app", a.ID, "status", status)
		}
	case v.ok():
		a.server.learn(false)
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		a.postpone(m, t.number)
		return v, nil
	default:
		a.reject(t.number)
		return v, nil
	}
	news := r.keep(a, m, t.number)
	if v.kept {
		v.result = registered(news)
	}
	return v, nil
}

// post returns the request. Credentials are added by the Registrar.
func (t *telling) post(m *manifest) Registration {
	h := t.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	for name, values := range m.Header {
		h[name] = values
	}
	h.Set("Content-Type", "application/json")
	h.Set(inngest.HeaderSyncKind, inngest.SyncOutOfBand)
	if t.serverKind != "" {
		h.Set(inngest.HeaderExpectedServerKind, t.serverKind)
	}
	return Registration{Query: t.query, Header: h, Body: m.Body}
}

// keep makes a manifest the last good one of its app, on disk too, and tells
// whether it is news. The caller has a.telling.
func (r *Registry) keep(a *app, m *manifest, number uint64) bool {
	news := a.keep(m, number, r.opts.Now())
	a.schedule(jitter(r.opts.Retell, 0.9, 1.1))
	r.measure(a, m)
	r.opts.Metrics.LastSync.WithLabelValues(a.ID).Set(float64(r.opts.Now().Unix()))
	if r.store == nil || !news && a.saved {
		return news
	}
	err := r.store.save(m)
	if a.saved = err == nil; !a.saved {
		r.opts.Metrics.Unsaved.WithLabelValues(a.ID).Inc()
		r.opts.Log.Error("manifest not saved: after a restart the app must be synced again", "app", a.ID, "err", err)
	}
	return news
}

// measure sets the gauges of a manifest.
func (r *Registry) measure(a *app, m *manifest) {
	r.opts.Metrics.Functions.WithLabelValues(a.ID).Set(float64(len(m.register.Functions)))
}

// registered is the answer of a server that took a registration.
func registered(modified bool) Result {
	return Result{
		Status: http.StatusOK,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   fmt.Appendf(nil, `{"ok":true,"modified":%t}`, modified),
	}
}

var errUntold = errors.New("the Inngest server cannot be reached, and hears of the registration as soon as it can")

func errNoPublicURL() error {
	return refuse(inngest.CodePublicURLUnknown,
		"the gateway does not know its own URL, so the app cannot be registered: set public_url, or let Inngest send a signed sync first")
}
