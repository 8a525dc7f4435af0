package devserver

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// handleDev serves what the real server does not have: a JSON view of its
// state, and the clock.
func (s *Server) handleDev(mux *http.ServeMux) {
	mux.HandleFunc("GET /dev", s.handleInfo)
	mux.HandleFunc("GET /dev/apps", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Apps()) })
	mux.HandleFunc("POST /dev/apps", s.handleAddApp)
	mux.HandleFunc("GET /dev/runs", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Runs()) })
	mux.HandleFunc("GET /dev/runs/{id}", s.handleRun)
	mux.HandleFunc("POST /dev/runs/{id}/cancel", s.handleCancel)
	mux.HandleFunc("POST /dev/runs/{id}/rerun", s.handleRerun)
	mux.HandleFunc("GET /dev/events", s.handleListEvents)
	mux.HandleFunc("GET /dev/clock", s.handleClock)
	mux.HandleFunc("POST /dev/clock", s.handleJump)
}

// handleInfo is what SDKs ask to find a development server; one that behaves
// as the self-hosted one has nothing there.
func (s *Server) handleInfo(w http.ResponseWriter, r *http.Request) {
	if s.opts.ServerKind != inngest.ModeDev {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"version": "devserver", "functions": s.Apps(), "isSingleNodeService": true})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	jsonType(w)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(v)
}

func devError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func (s *Server) handleRun(w http.ResponseWriter, r *http.Request) {
	run, ok := s.FindRun(r.PathValue("id"))
	if !ok {
		devError(w, http.StatusNotFound, "no run has the id "+r.PathValue("id"))
		return
	}
	writeJSON(w, http.StatusOK, run)
}

func (s *Server) handleCancel(w http.ResponseWriter, r *http.Request) {
	if err := s.Cancel(r.PathValue("id")); err != nil {
		devError(w, http.StatusNotFound, err.Error())
		return
	}
	s.handleRun(w, r)
}

// handleRerun is {"step": <hashed id>, "input": [...]}.
func (s *Server) handleRerun(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Step  string          `json:"step"`
		Input json.RawMessage `json:"input"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inngest.MaxCallBytes)).Decode(&in); err != nil {
		devError(w, http.StatusBadRequest, `the body must be {"step": "<hashed id>", "input": [...]}`)
		return
	}
	id, err := s.Rerun(r.PathValue("id"), in.Step, in.Input)
	if err != nil {
		devError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"id": id})
}

// handleAddApp is {"url": ...}: the app is asked for its functions, unsigned.
func (s *Server) handleAddApp(w http.ResponseWriter, r *http.Request) {
	var in struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil || in.URL == "" {
		devError(w, http.StatusBadRequest, `the body must be {"url": "http://..."}`)
		return
	}
	if err := s.AddApp(r.Context(), in.URL); err != nil {
		devError(w, http.StatusBadGateway, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.Apps())
}

func (s *Server) handleListEvents(w http.ResponseWriter, _ *http.Request) {
	type listed struct {
		Internal string          `json:"internalId"`
		Received time.Time       `json:"received"`
		Event    json.RawMessage `json:"event"`
		Runs     []string        `json:"runs"`
	}
	out := []listed{}
	s.mu.Lock()
	for _, e := range s.st.events {
		one := listed{Internal: e.internal, Received: e.received, Event: marshal(e.inCall()), Runs: []string{}}
		for _, r := range s.st.byID[e.internal] {
			one.Runs = append(one.Runs, r.id)
		}
		out = append(out, one)
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) handleClock(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"now": s.opts.Clock.Now(), "ahead": s.opts.Clock.Ahead().String()})
}

// handleJump is {"advance": "1h"}.
func (s *Server) handleJump(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Advance string `json:"advance"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil || lasting(in.Advance) == 0 {
		devError(w, http.StatusBadRequest, `the body must be {"advance": "<duration>"}, such as 90s or 2h`)
		return
	}
	s.opts.Clock.Advance(lasting(in.Advance))
	s.handleClock(w, r)
}
