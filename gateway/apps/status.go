package apps

import (
	"encoding/json"
	"time"
)

// A Status is what the registry knows of an app, for people.
type Status struct {
	App       string    `json:"app"`
	Path      string    `json:"path"`
	Mode      Mode      `json:"signing"`
	PublicURL string    `json:"public_url,omitempty"` // empty: not known yet
	InBand    bool      `json:"in_band"`              // how the app told its functions
	Functions int       `json:"functions"`            // in the last good manifest
	Synced    time.Time `json:"synced,omitzero"`      // when the server took it; zero: never
	Pending   bool      `json:"pending"`              // a newer manifest waits until the server can be reached
	Server    Dialect   `json:"server"`               // what the server takes, as far as that is known
	Failure   string    `json:"failure,omitempty"`    // of the last sync, empty if it was good
	FailedAt  time.Time `json:"failed_at,omitzero"`
}

// Status returns the state of every app, in the order of the configuration.
func (r *Registry) Status() []Status {
	all := make([]Status, len(r.apps))
	for i, a := range r.apps {
		all[i] = a.status()
		all[i].PublicURL = r.PublicURL(a.ID)
	}
	return all
}

// Functions returns the ids of an app's functions in its last good manifest, as
// calls have them, and what its SDK calls the app: that stands before them. There
// are none while no manifest is known.
func (r *Registry) Functions(id string) (sdk string, functions []string) {
	a := r.byID[id]
	if a == nil {
		return "", nil
	}
	m := a.manifest()
	if m == nil {
		return "", nil
	}
	for _, text := range m.register.Functions {
		var f struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(text, &f) == nil && f.ID != "" {
			functions = append(functions, f.ID)
		}
	}
	return m.register.AppName, functions
}

func (a *app) status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{
		App: a.ID, Path: a.Path, Mode: a.Mode, Synced: a.synced, Pending: a.pending != nil,
		Server: a.server.takes(), Failure: a.failure.text, FailedAt: a.failure.at,
	}
	if a.last != nil {
		s.InBand, s.Functions = a.last.InBand, len(a.last.register.Functions)
	}
	return s
}
