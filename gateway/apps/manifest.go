package apps

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// sdkHeaders are the fields in which an SDK says what it is. They are kept with
// a manifest, so that the gateway can speak for the app.
var sdkHeaders = []string{
	inngest.HeaderSDK, inngest.HeaderFramework, inngest.HeaderPlatform, inngest.HeaderEnv, "User-Agent",
}

// A manifest is what an app registered. It does not change once it is made.
type manifest struct {
	App    string          `json:"app"` // id in the configuration
	At     time.Time       `json:"at"`
	InBand bool            `json:"in_band"` // how the app told it
	URL    string          `json:"url"`     // of the app for Inngest, empty until it is told
	Header http.Header     `json:"header"`  // sdkHeaders
	Body   json.RawMessage `json:"register"`

	register inngest.RegisterRequest // Body
}

// newManifest reads a registration.
func newManifest(app string, body []byte, header http.Header, at time.Time) (*manifest, error) {
	m := &manifest{App: app, At: at.UTC(), Header: http.Header{}}
	for _, name := range sdkHeaders {
		if v := header.Get(name); v != "" {
			m.Header.Set(name, strings.Clone(v)) // it may be a part of a buffer
		}
	}
	return m, m.setBody(body)
}

func (m *manifest) setBody(body []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return refuse(inngest.CodeMalformedRegister, "the registration is no JSON: %w", err)
	}
	m.Body, m.register = compact.Bytes(), inngest.RegisterRequest{}
	if err := json.Unmarshal(m.Body, &m.register); err != nil {
		return refuse(inngest.CodeMalformedRegister, "the registration cannot be read: %w", err)
	}
	if m.register.AppName == "" {
		return refuse(inngest.CodeMalformedRegister, "the registration has no appName")
	}
	return nil
}

// at returns the manifest with URLs that lead to the gateway.
func (m *manifest) at(base *url.URL) (*manifest, error) {
	body, err := rewriteURLs(m.Body, base)
	if err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the registration cannot be read: %w", err)
	}
	there := *m
	there.URL = base.String()
	return &there, there.setBody(body)
}

// base returns the URL that the manifest was told with, nil if none.
func (m *manifest) base() *url.URL {
	if base, ok := parseBase(m.URL); ok {
		return base
	}
	return nil
}

// same tells whether two manifests say the same. The order of functions does
// not count.
func (m *manifest) same(other *manifest) bool {
	mine, theirs := m.register, other.register
	mine.Functions, theirs.Functions = nil, nil
	x, errX := json.Marshal(mine)
	y, errY := json.Marshal(theirs)
	return errX == nil && errY == nil && bytes.Equal(x, y) &&
		m.InBand == other.InBand && m.URL == other.URL && maps.EqualFunc(m.Header, other.Header, slices.Equal) &&
		inngest.SameFunctions(m.register.Functions, other.register.Functions)
}

// fromInBand makes a manifest of an in-band answer.
func fromInBand(app string, answer *inngest.InBandAnswer, header http.Header, at time.Time) (*manifest, error) {
	r := answer.Register()
	switch {
	case answer.SDK != "":
		r.SDK = answer.SDK
	case answer.SDKLanguage == "": // an app in development says it in its headers alone
		r.SDK = strings.TrimPrefix(header.Get(inngest.HeaderSDK), "inngest-")
	}
	for name, value := range answer.Extra {
		if strings.EqualFold(name, "appVersion") || strings.EqualFold(name, "featureObservations") {
			if r.Extra == nil {
				r.Extra = map[string]json.RawMessage{}
			}
			r.Extra[name] = value
		}
	}
	for name, value := range map[string]*string{
		inngest.HeaderFramework: answer.Framework, inngest.HeaderPlatform: answer.Platform, inngest.HeaderEnv: answer.Env,
	} {
		if value != nil && *value != "" && header.Get(name) == "" {
			header.Set(name, *value)
		}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the app's in-band answer cannot be registered: %w", err)
	}
	m, err := newManifest(app, body, header, at)
	if err != nil {
		return nil, err
	}
	m.InBand = true
	return m, nil
}

// inBand makes the in-band answer that says the same as the manifest.
// inspection is what the app says of itself, nil if it did not.
func (m *manifest) inBand(inspection json.RawMessage) inngest.InBandAnswer {
	r := &m.register
	language, version, _ := strings.Cut(r.SDK, ":")
	a := inngest.InBandAnswer{
		AppID: r.AppName, Capabilities: r.Capabilities, Functions: r.Functions, Inspection: inspection,
		SDKAuthor: "inngest", SDKLanguage: language, SDKVersion: strings.TrimPrefix(version, "v"), SDK: r.SDK, URL: r.URL,
	}
	if r.Framework != "" {
		a.Framework = &r.Framework
	}
	if platform := m.Header.Get(inngest.HeaderPlatform); platform != "" {
		a.Platform = &platform
	}
	if env := m.Header.Get(inngest.HeaderEnv); env != "" {
		a.Env = &env
	}
	for name, value := range r.Extra {
		if strings.EqualFold(name, "appVersion") || strings.EqualFold(name, "featureObservations") {
			if a.Extra == nil {
				a.Extra = map[string]json.RawMessage{}
			}
			a.Extra[name] = value
		}
	}
	return a
}
