package devserver

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Handler serves the API that apps use and, under /dev, the server's own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.handlePage)
	mux.HandleFunc("POST /e", s.handlePage)
	mux.HandleFunc("POST /e/{$}", s.handlePage)
	mux.HandleFunc("POST /e/{key}", s.handleEvents)
	mux.HandleFunc("POST /fn/register", s.withKey(s.handleRegister))
	mux.HandleFunc("POST /invoke/{slug...}", s.handleInvoke)
	mux.HandleFunc("POST /v1/signals", s.withKey(s.handleSignal))
	mux.HandleFunc("GET /v1/apps/{name}/functions", s.withKey(s.handleAppFunctions))
	mux.HandleFunc("GET /v0/runs/{id}/batch", s.withKey(s.handleBatch))
	mux.HandleFunc("GET /v0/runs/{id}/actions", s.withKey(s.handleActions))
	for _, prefix := range []string{"/v1/checkpoint", "/v1/http/runs"} {
		mux.HandleFunc("POST "+prefix, s.withKey(s.handleNewRun))
		mux.HandleFunc("POST "+prefix+"/{id}/steps", s.withKey(s.handleSteps))
		mux.HandleFunc("POST "+prefix+"/{id}/async", s.withKey(s.handleAsync))
		mux.HandleFunc(prefix+"/{id}/output", s.handleOutput)
	}
	s.realtime.routes(mux)
	s.handleDev(mux)
	return s.stamp(mux)
}

// stamp sets what every answer of the server has.
func (s *Server) stamp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin")
		w.Header().Set(inngest.HeaderServerKind, s.opts.ServerKind)
		next.ServeHTTP(w, r)
	})
}

// withKey asks for the bearer token that the signing key gives, or for the key
// itself, which the Go SDK sends with checkpoints. The refusal is plain text
// (recording 138).
func (s *Server) withKey(next http.HandlerFunc) http.HandlerFunc {
	if s.key.IsZero() {
		return next
	}
	hashed, plain := hashPart(signature.BearerToken(s.key)), hashPart(s.opts.SigningKey)
	return func(w http.ResponseWriter, r *http.Request) {
		got := []byte(hashPart(bearer(r)))
		if subtle.ConstantTimeCompare(got, []byte(hashed))|subtle.ConstantTimeCompare(got, []byte(plain)) != 1 {
			http.Error(w, "Authentication failed", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// hashPart is a token without "signkey-<env>-": the server ignores the env.
func hashPart(token string) string {
	if strings.HasPrefix(token, "signkey-") {
		if i := strings.LastIndexByte(token, '-'); i >= 0 {
			return token[i+1:]
		}
	}
	return token
}

// apiError is the server's usual error (recordings 38, 70, 108, 134 and 139).
func (s *Server) apiError(w http.ResponseWriter, status int, text string) {
	s.apiErrorData(w, status, text, nil)
}

func (s *Server) apiErrorData(w http.ResponseWriter, status int, text string, data map[string]any) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(struct {
		Error  string         `json:"error"`
		Data   map[string]any `json:"data"`
		Status int            `json:"status"`
	}{text, data, status})
}

// plainError is the error of /fn/register before its body is believed.
func (s *Server) plainError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": text})
}

// v1 answers of the server say they are JSON, errors included.
func jsonType(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") }

// handleInvoke is POST /invoke/{slug}: it starts a function with an event of
// its own.
func (s *Server) handleInvoke(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Data map[string]any `json:"data"`
		User map[string]any `json:"user"`
		V    string         `json:"v"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inngest.MaxEventBytes)).Decode(&in); err != nil {
		s.apiError(w, http.StatusBadRequest, "Unable to read post data request")
		return
	}
	if in.Data == nil {
		in.Data = map[string]any{}
	}
	in.Data["_inngest"] = map[string]any{"fn_id": r.PathValue("slug")}
	s.mu.Lock()
	ev := s.ownEvent(inngest.EventFunctionInvoked, "", in.Data, nil)
	s.mu.Unlock()
	ev.user, ev.version = in.User, in.V
	// Here the seed counts from 0, on /e from 1.
	ev.internal = seededID(r.Header, 0)
	id := s.accept(ev)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	json.NewEncoder(w).Encode(struct {
		ID     string `json:"id"`
		Status int    `json:"status"`
	}{id, http.StatusOK})
}

// handleSignal is POST /v1/signals (recordings 68 and 70).
func (s *Server) handleSignal(w http.ResponseWriter, r *http.Request) {
	jsonType(w)
	var in struct {
		Signal string          `json:"signal"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inngest.MaxEventBytes)).Decode(&in); err != nil {
		s.apiError(w, http.StatusBadRequest, "Invalid signal request")
		return
	}
	if in.Signal == "" {
		s.apiError(w, http.StatusBadRequest, "Signal is required")
		return
	}
	run, ok := s.signal(in.Signal, in.Data)
	if !ok {
		s.apiError(w, http.StatusNotFound, "No signal found")
		return
	}
	s.writeData(w, http.StatusOK, map[string]string{"run_id": run})
}

// handleAppFunctions is GET /v1/apps/{name}/functions, which has no envelope
// and knows an app that it does not know as one without functions (seen on
// server 1.43).
func (s *Server) handleAppFunctions(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		InternalID string           `json:"internal_id"`
		ID         string           `json:"id"`
		Name       string           `json:"name"`
		Config     inngest.Function `json:"config"`
	}
	s.mu.Lock()
	list := []listed{}
	if a := s.st.apps[r.PathValue("name")]; a != nil {
		for _, f := range a.functions {
			list = append(list, listed{f.id, f.slug, f.name, f.config})
		}
	}
	s.mu.Unlock()
	json.NewEncoder(w).Encode(list)
}

// writeData is the envelope of v1 answers.
func (s *Server) writeData(w http.ResponseWriter, status int, data any) {
	jsonType(w)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(struct {
		Data     any `json:"data"`
		Metadata any `json:"metadata"`
	}{data, map[string]any{"fetched_at": s.opts.Clock.Now().UTC()}})
}

// handleBatch is GET /v0/runs/{id}/batch: the run's events (recording 106).
func (s *Server) handleBatch(w http.ResponseWriter, r *http.Request) {
	run, ok := s.living(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	events := make([]any, len(run.events))
	for i, e := range run.events {
		events[i] = e.stored()
	}
	body := marshal(events)
	s.mu.Unlock()
	s.writeState(w, body)
}

// handleActions is GET /v0/runs/{id}/actions: its steps (recording 107).
func (s *Server) handleActions(w http.ResponseWriter, r *http.Request) {
	run, ok := s.living(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	body := marshal(run.memo())
	s.mu.Unlock()
	s.writeState(w, body)
}

func (s *Server) writeState(w http.ResponseWriter, body json.RawMessage) {
	w.Header().Add("Vary", "Origin") // twice, as recorded
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(append(body, '\n'))
}

// living finds the run of a request whose state is still there (recording
// 108: it is gone when the run has ended).
func (s *Server) living(w http.ResponseWriter, r *http.Request) (*run, bool) {
	id := r.PathValue("id")
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.st.runs[id]
	if run == nil || run.status.Ended() {
		w.Header().Add("Vary", "Origin")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		s.apiError(w, http.StatusGone, "runtime state is no longer available for runID: "+id)
		return nil, false
	}
	return run, true
}
