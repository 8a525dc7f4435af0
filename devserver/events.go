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

// handleEvents is POST /e/{key}.
func (s *Server) handleEvents(w http.ResponseWriter, r *http.Request) {
	fault, err := s.meetFault(r)
	if err != nil {
		return // the client is gone
	}
	s.serveFault(w, r, fault)
}

// An eventAnswer is an answer of the event API.
type eventAnswer struct {
	status      int
	contentType string
	body        []byte
}

func (a eventAnswer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// errorAnswer refuses a request as a whole. Other than what is said of events
// it is JSON, and has a message (recording 121).
func errorAnswer(status int, text string) eventAnswer {
	body := marshal(struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}{status, "", text})
	return eventAnswer{status, "application/json", append(body, '\n')}
}

// listAnswer tells the ids of the events that were taken, and why no more were.
func listAnswer(ids []string, err error) eventAnswer {
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
	return eventAnswer{answer.Status, "text/plain; charset=utf-8", append(marshal(answer), '\n')}
}

// postEvents takes at most so many of a request's events, [All] for no limit,
// and answers as recordings 110 to 123 do, the partial acceptance before a bad
// event included.
func (s *Server) postEvents(r *http.Request, limit int) eventAnswer {
	if !s.takesKey(r.PathValue("key")) {
		return errorAnswer(http.StatusUnauthorized, "Event key not found")
	}
	return listAnswer(s.takeEvents(r.Body, r.Header, limit))
}

func (s *Server) takesKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys) == 0 || s.keys[key]
}

// errNoEvents is the answer to a body that holds neither an object nor a list.
const errNoEvents = said("Request body must contain an event object or an array of event objects")

// takeEvents takes the events of a body one after the other and stops at the
// first bad one: those before it were accepted.
func (s *Server) takeEvents(body io.Reader, h http.Header, limit int) (ids []string, err error) {
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	take := func(raw json.RawMessage) error {
		if len(raw) > inngest.MaxEventBytes {
			return said(fmt.Sprintf("Event is over the max size: Max %d bytes / Size %d bytes", inngest.MaxEventBytes, len(raw)))
		}
		ev, err := s.parseEvent(raw)
		if err != nil {
			return err
		}
		if refuse != nil {
			if err := refuse(raw); err != nil {
				return err
			}
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
		for d.More() && len(ids) != limit {
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
