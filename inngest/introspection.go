package inngest

import "encoding/json"

// IntrospectionSchema is the version of Introspection.
const IntrospectionSchema = "2024-05-24"

// An Introspection is the answer to a signed GET, and the inspection of an
// InBandAnswer. SDKs leave out what they do not know.
type Introspection struct {
	APIOrigin               string          `json:"api_origin"`
	AppID                   string          `json:"app_id"`
	AuthenticationSucceeded *bool           `json:"authentication_succeeded"`
	Capabilities            json.RawMessage `json:"capabilities,omitempty"`
	Env                     *string         `json:"env"`
	EventAPIOrigin          string          `json:"event_api_origin"`
	EventKeyHash            *string         `json:"event_key_hash"` // hex of SHA-256
	Extra                   json.RawMessage `json:"extra,omitempty"`
	Framework               string          `json:"framework"`
	FunctionCount           int             `json:"function_count"`
	HasEventKey             bool            `json:"has_event_key"`
	HasSigningKey           bool            `json:"has_signing_key"`
	HasSigningKeyFallback   bool            `json:"has_signing_key_fallback"`
	Mode                    string          `json:"mode"` // ModeCloud or ModeDev
	SchemaVersion           string          `json:"schema_version"`
	SDKLanguage             string          `json:"sdk_language"`
	SDKVersion              string          `json:"sdk_version"`
	ServeOrigin             *string         `json:"serve_origin"`
	ServePath               *string         `json:"serve_path"`
	SigningKeyFallbackHash  *string         `json:"signing_key_fallback_hash"`
	SigningKeyHash          *string         `json:"signing_key_hash"`
}

// Modes of an SDK, and values of HeaderServerKind.
const (
	ModeCloud = "cloud"
	ModeDev   = "dev"
)
