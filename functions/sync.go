package functions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// capabilities are what the host tells that it can.
const capabilities = `{"in_band_sync":"v1","trust_probe":"v1"}`

// sync answers a PUT with the functions. The host knows in-band alone: where a
// server wants a registration, gateway/apps makes one of the answer.
func (h *Host) sync(c *call.Call) *call.Answer {
	var p inngest.SyncRequest
	if err := json.Unmarshal(c.Body, &p); err != nil {
		return h.refuse(http.StatusBadRequest, inngest.CodeFunctionInvalid, "The body of the sync cannot be read.")
	}
	if u, err := url.Parse(p.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return h.refuse(http.StatusBadRequest, inngest.CodeFunctionInvalid, fmt.Sprintf("The sync's url %.200q is no address of an app.", p.URL))
	}
	if len(h.set.Load().list) == 0 {
		// Inngest would drop what it knows of the app.
		return h.refuse(http.StatusInternalServerError, inngest.CodeFunctionConfiguration,
			"The app has no functions yet: no backend that publishes some has answered.")
	}
	body, err := h.inBand(p.URL)
	if err != nil {
		return h.refuse(http.StatusInternalServerError, inngest.CodeFunctionConfiguration, "The functions cannot be registered: "+err.Error()+".")
	}
	a := h.speak(http.StatusOK, body)
	a.Set(inngest.HeaderSyncKind, inngest.SyncInBand)
	return a
}

func (h *Host) inBand(base string) ([]byte, error) {
	list, err := h.set.Load().register(base)
	if err != nil {
		return nil, err
	}
	inspection, err := encode(h.inspection(true))
	if err != nil {
		return nil, err
	}
	name := framework
	language, version, _ := strings.Cut(h.sdk, ":v")
	return encode(inngest.InBandAnswer{
		AppID: h.opts.App, Capabilities: json.RawMessage(capabilities), Env: h.opts.Inspection.Env, Framework: &name,
		Functions: list, Inspection: inspection, SDKAuthor: "inngest-gateway", SDKLanguage: language, SDKVersion: version,
		SDK: h.sdk, URL: base,
	})
}

// introspect answers a GET.
func (h *Host) introspect() *call.Answer {
	known := h.opts.Inspection.AuthenticationSucceeded
	body, err := encode(h.inspection(known != nil && *known))
	if err != nil {
		return h.refuse(http.StatusInternalServerError, inngest.CodeFunctionConfiguration, "The introspection cannot be written.")
	}
	return h.speak(http.StatusOK, body)
}

// inspection is what the host says of itself, in the two forms of the schema:
// to Inngest, and to anybody.
func (h *Host) inspection(believed bool) any {
	i := h.opts.Inspection
	i.AppID, i.Framework, i.SchemaVersion = h.opts.App, framework, inngest.IntrospectionSchema
	i.FunctionCount = len(h.set.Load().list)
	i.SDKLanguage, i.SDKVersion, _ = strings.Cut(h.sdk, ":v")
	i.Capabilities = json.RawMessage(capabilities)
	if i.Mode == "" {
		i.Mode = inngest.ModeCloud
	}
	if believed {
		yes := true
		i.AuthenticationSucceeded = &yes
		return i
	}
	return struct {
		AuthenticationSucceeded *bool           `json:"authentication_succeeded"`
		Capabilities            json.RawMessage `json:"capabilities"`
		FunctionCount           int             `json:"function_count"`
		HasEventKey             bool            `json:"has_event_key"`
		HasSigningKey           bool            `json:"has_signing_key"`
		HasSigningKeyFallback   bool            `json:"has_signing_key_fallback"`
		Mode                    string          `json:"mode"`
		SchemaVersion           string          `json:"schema_version"`
	}{
		i.AuthenticationSucceeded, i.Capabilities, i.FunctionCount, i.HasEventKey, i.HasSigningKey,
		i.HasSigningKeyFallback, i.Mode, i.SchemaVersion,
	}
}

// probe answers a trust probe: that the request came here is the answer, since
// only what Inngest signed does.
func (h *Host) probe(kind string) *call.Answer {
	if kind != inngest.ProbeTrust {
		return h.refuse(http.StatusBadRequest, inngest.CodeFunctionInvalid, fmt.Sprintf("Unknown probe %.40q.", kind))
	}
	return h.speak(http.StatusOK, []byte("{}"))
}
