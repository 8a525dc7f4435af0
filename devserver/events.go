package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// handleEvents is POST /e/{key}. It answers as recordings 110 to 123 do, the
// partial acceptance before a bad event included.
func (s *Server) handleEvents(w http.ResponseWriter, r *http.Request) {
	if len(s.keys) > 0 && !s.keys[r.PathValue("key")] {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		json.NewEncoder(w).Encode(struct { // recording 121: JSON, and with a message
			Status  int    `json:"status"`
			Message string `json:"message"`
			Error   string `json:"error"`
		}{http.StatusUnauthorized, "", "Event key not found"})
		return
	}
	ids, err := s.takeEvents(r.Body, r.Header)
	if len(ids) == 0 {
		ids = []string{""} // recordings 118 and 119
	}
	answer := struct {
		IDs    []string `json:"ids"`
		Status int      `json:"status"`
		Error  string   `json:"error,omitempty"`
	}{ids, http.StatusOK, ""}
	if err != nil {
		answer.Status, answer.Error = http.StatusBadRequest, err.Error()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(answer.Status)
	json.NewEncoder(w).Encode(answer)
}

// errNoEvents is the answer to a body that holds neither an object nor a list.
const errNoEvents = said("Request body must contain an event object or an array of event objects")

// takeEvents takes the events of a body one after the other and stops at the
// first bad one: those before it were accepted.
func (s *Server) takeEvents(body io.Reader, h http.Header) (ids []string, err error) {
	take := func(raw json.RawMessage) error {
		if len(raw) > inngest.MaxEventBytes {
			return said(fmt.Sprintf("Event is over the max size: Max %d bytes / Size %d bytes", inngest.MaxEventBytes, len(raw)))
		}
		ev, err := s.parseEvent(raw)
		if err != nil {
			return err
		}
		ev.internal = seededID(h, len(ids)+1)
		ids = append(ids, s.accept(ev))
		return nil
	}
	d := json.NewDecoder(body)
	token, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case token == json.Delim('{'):
		raw, err := io.ReadAll(io.MultiReader(strings.NewReader("{"), d.Buffered(), body))
		if err != nil {
			return nil, err
		}
		return ids, take(raw)
	case token == json.Delim('['):
		for d.More() {
			if len(ids) == inngest.MaxEventsPerRequest {
				return ids, said(fmt.Sprintf("Cannot have more than %d events in a batch", inngest.MaxEventsPerRequest))
			}
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return ids, err
			}
			if err := take(raw); err != nil {
				return ids, err
			}
		}
		return ids, nil // what follows the list is never read (recording 120)
	}
	// A form: the decoder has not taken a byte of what is no JSON.
	form, err := parseForm(h.Get("Content-Type"), io.MultiReader(d.Buffered(), body))
	if err != nil {
		return nil, err
	}
	return ids, take(form)
}

// parseForm turns a form into an event whose fields are lists of texts, name
// too: that is why no form is ever accepted (recording 117).
func parseForm(contentType string, body io.Reader) (json.RawMessage, error) {
	kind, params, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/x-www-form-urlencoded":
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		values, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, err
		}
		return marshal(values), nil
	case "multipart/form-data":
		form, err := multipart.NewReader(body, params["boundary"]).ReadForm(inngest.MaxEventBytes)
		if err != nil {
			return nil, err
		}
		return marshal(form.Value), nil
	}
	return nil, errNoEvents
}

// parseEvent reads and checks one event as the server does; the texts of the
// errors are the server's.
func (s *Server) parseEvent(b []byte) (*event, error) {
	type raw struct { // the name shows in the texts of encoding/json
		ID        string         `json:"id"`
		Name      string         `json:"name"`
		Data      map[string]any `json:"data"`
		Timestamp int64          `json:"ts"`
		Version   string         `json:"v"`
		Meta      eventMeta      `json:"meta"`
		User      map[string]any `json:"user"`
	}
	var in raw
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.ToLower(in.Name), inngest.ReservedEventPrefix) {
		return nil, fmt.Errorf("event name is reserved for internal use: %s", in.Name)
	}
	delete(in.Data, inngest.ReservedEventDataKey)
	now := s.opts.Clock.Now()
	if in.Timestamp == 0 {
		in.Timestamp = now.UnixMilli()
	}
	if in.Name == "" {
		return nil, errors.New("event name is empty")
	}
	switch {
	case in.Timestamp < inngest.MinEventTS:
		return nil, errors.New("timestamp is before Jan 1, 1980")
	case in.Timestamp > inngest.MaxEventTS:
		return nil, errors.New("timestamp is after Jan 1, 2100")
	}
	sessions := in.Meta.merged()
	if err := checkSessions(sessions); err != nil {
		return nil, err
	}
	return &event{
		id: in.ID, name: in.Name, data: in.Data, user: in.User, ts: in.Timestamp,
		version: in.Version, sessions: sessions, received: now,
	}, nil
}

// seededID is the id of the n-th event of a request that names a seed; "" if
// it names none or a bad one, which the server ignores.
func seededID(h http.Header, n int) string {
	seed, err := inngest.ParseSeed(h.Get(inngest.HeaderEventIDSeed))
	if err != nil || seed.Millis == 0 {
		return ""
	}
	return seed.ID(n)
}
