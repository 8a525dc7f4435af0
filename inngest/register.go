package inngest

import (
	"bytes"
	"encoding/json"
	"slices"
)

// A RegisterRequest is the body of POST /fn/register: an app tells its
// functions, out of band. Members that are not named here are kept in Extra.
type RegisterRequest struct {
	URL            string            `json:"url"`
	DeployType     string            `json:"deployType"` // DeployPing
	Framework      string            `json:"framework"`
	AppName        string            `json:"appName"` // the app's id
	Functions      []json.RawMessage `json:"functions"`
	SDK            string            `json:"sdk"` // js:v4.24.0
	V              string            `json:"v"`
	Capabilities   json.RawMessage   `json:"capabilities,omitempty"`
	IdempotencyKey string            `json:"idempotencyKey,omitempty"`

	Extra map[string]json.RawMessage `json:"-"` // headers, featureObservations, what is yet to come
}

// DeployPing is the one deploy type of apps that serve HTTP.
const DeployPing = "ping"

// A RegisterResult is the answer to POST /fn/register.
type RegisterResult struct {
	OK       bool   `json:"ok"`
	Modified bool   `json:"modified"`
	SyncID   string `json:"sync_id"`
	AppID    string `json:"app_id"` // the server's UUID of the app
}

// A SyncRequest is the body of a PUT. It has exactly this member: JS refuses
// any other.
type SyncRequest struct {
	URL string `json:"url"`
}

// A SyncResult is the answer to a PUT out of band: the app has called
// /fn/register, and tells what came of it.
type SyncResult struct {
	Message  string `json:"message"`
	Modified bool   `json:"modified"`
}

// An InBandAnswer is the answer to a PUT in band: the functions themselves.
// Members that are not named here are kept in Extra.
type InBandAnswer struct {
	AppID        string            `json:"app_id"`
	Capabilities json.RawMessage   `json:"capabilities,omitempty"` // Go has them in its inspection alone
	Env          *string           `json:"env"`
	Framework    *string           `json:"framework"`
	Functions    []json.RawMessage `json:"functions"`
	Inspection   json.RawMessage   `json:"inspection"` // an Introspection
	Platform     *string           `json:"platform"`
	SDKAuthor    string            `json:"sdk_author"`
	SDKLanguage  string            `json:"sdk_language"`
	SDKVersion   string            `json:"sdk_version"`
	SDK          string            `json:"sdk,omitempty"` // JS says it once more
	URL          string            `json:"url"`

	Extra map[string]json.RawMessage `json:"-"`
}

// Register returns the registration that says the same as the answer: what to
// post to a server that knows /fn/register only. The answer as it stands
// would be a 400.
func (a *InBandAnswer) Register() RegisterRequest {
	r := RegisterRequest{
		URL:          a.URL,
		DeployType:   DeployPing,
		AppName:      a.AppID,
		Functions:    slices.Clone(a.Functions),
		SDK:          a.SDKLanguage + ":v" + a.SDKVersion,
		V:            "0.1",
		Capabilities: a.Capabilities,
	}
	if a.Framework != nil {
		r.Framework = *a.Framework
	}
	var inspection struct {
		Capabilities json.RawMessage `json:"capabilities"`
	}
	if r.Capabilities == nil && json.Unmarshal(a.Inspection, &inspection) == nil {
		r.Capabilities = inspection.Capabilities
	}
	return r
}

// MarshalJSON writes the named members, then Extra in the order of its names.
func (r RegisterRequest) MarshalJSON() ([]byte, error) {
	type plain RegisterRequest
	if r.Functions == nil {
		r.Functions = []json.RawMessage{}
	}
	return marshalWithExtra(plain(r), r.Extra)
}

// UnmarshalJSON reads the named members and keeps all others in Extra.
func (r *RegisterRequest) UnmarshalJSON(text []byte) error {
	type plain RegisterRequest
	var p plain
	extra, err := unmarshalWithExtra(text, &p,
		"url", "deployType", "framework", "appName", "functions", "sdk", "v", "capabilities", "idempotencyKey")
	if err != nil {
		return err
	}
	*r = RegisterRequest(p)
	r.Extra = extra
	return nil
}

// MarshalJSON writes the named members, then Extra in the order of its names.
func (a InBandAnswer) MarshalJSON() ([]byte, error) {
	type plain InBandAnswer
	if a.Functions == nil {
		a.Functions = []json.RawMessage{}
	}
	return marshalWithExtra(plain(a), a.Extra)
}

// UnmarshalJSON reads the named members and keeps all others in Extra.
func (a *InBandAnswer) UnmarshalJSON(text []byte) error {
	type plain InBandAnswer
	var p plain
	extra, err := unmarshalWithExtra(text, &p,
		"app_id", "capabilities", "env", "framework", "functions", "inspection", "platform",
		"sdk_author", "sdk_language", "sdk_version", "sdk", "url")
	if err != nil {
		return err
	}
	*a = InBandAnswer(p)
	a.Extra = extra
	return nil
}

func marshalWithExtra(named any, extra map[string]json.RawMessage) ([]byte, error) {
	text, err := json.Marshal(named)
	if err != nil || len(extra) == 0 {
		return text, err
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return nil, err
	}
	text[len(text)-1] = ','
	return append(text, more[1:]...), nil
}

func unmarshalWithExtra(text []byte, into any, named ...string) (map[string]json.RawMessage, error) {
	if err := json.Unmarshal(text, into); err != nil {
		return nil, err
	}
	var extra map[string]json.RawMessage
	if err := json.Unmarshal(text, &extra); err != nil {
		return nil, err
	}
	for name := range extra {
		// encoding/json takes a member in any letter case.
		if slices.ContainsFunc(named, func(n string) bool { return bytes.EqualFold([]byte(n), []byte(name)) }) {
			delete(extra, name)
		}
	}
	if len(extra) == 0 {
		return nil, nil
	}
	return extra, nil
}
