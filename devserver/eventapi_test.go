package devserver

import (
	"net/http"
	"strings"
	"testing"
)

func TestEventAPI_answersAsRecorded(t *testing.T) {
	for name, number := range map[string]string{
		"several events, a seed":    "16",
		"odd fields and numbers":    "110",
		"a reserved name":           "111",
		"data is a list":            "112",
		"seconds instead of millis": "113",
		"six sessions":              "114",
		"the second event is bad":   "115",
		"newline-delimited JSON":    "116",
		"a form":                    "117",
		"an empty list":             "118",
		"an empty body":             "119",
		"bytes after the list":      "120",
		"a key that is not known":   "121",
		"a seed":                    "122",
		"the same seed once more":   "123",
	} {
		t.Run(name, func(t *testing.T) {
			_, base := newServer(t, Options{})
			r := record(t, number)
			status, h, body := r.Request.ask(t, base)
			if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventAPI_givesSeededIDs(t *testing.T) {
	_, base := newServer(t, Options{})
	for _, number := range []string{"16", "122", "123"} {
		r := record(t, number)
		if _, _, body := r.Request.ask(t, base); body != r.Response.body(t) {
			t.Errorf("recording %s: %q, want %q", number, body, r.Response.body(t))
		}
	}
}

func TestEventAPI_ignoresABadSeed(t *testing.T) {
	_, base := newServer(t, Options{})
	r := record(t, "122")
	for _, seed := range []string{"x", "0,MDEyMzQ1Njc4OQ==", "-1,MDEyMzQ1Njc4OQ==", "1795540000000,MDEy", "1795540000000"} {
		status, _, body := r.Request.ask(t, base, func(req *http.Request) { req.Header.Set("x-inngest-event-id-seed", seed) })
		if status != 200 || strings.Contains(body, "01M878C780") {
			t.Errorf("seed %q: %d %s, want ids of the server's own", seed, status, body)
		}
	}
}

func TestEventAPI_takesFiveThousandEventsOfMore(t *testing.T) {
	s, base := newServer(t, Options{})
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"name":"x/a"},`, 5001), ",") + "]"
	req, err := http.NewRequest(http.MethodPost, base+"/e/"+testEventKey, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	status, _, answer := do(t, req)
	if status != 400 || !strings.HasSuffix(answer, `"status":400,"error":"Cannot have more than 5000 events in a batch"}`+"\n") {
		t.Errorf("answer = %d ...%s", status, answer[max(0, len(answer)-120):])
	}
	if got := strings.Count(answer, `"01`); got != 5000 {
		t.Errorf("%d ids, want 5000", got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.st.events) != 5000 {
		t.Errorf("%d events were taken, want 5000", len(s.st.events))
	}
}

func TestEventAPI_mergesSessions(t *testing.T) {
	s, _ := newServer(t, Options{})
	for name, c := range map[string]struct{ meta, want string }{
		"own ones":                        {`{"sessions":{"a":"1","b":2}}`, `{"a":"1","b":"2"}`},
		"inherited ones fill up":          {`{"sessions":{"z":"1"},"propagated_sessions":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}}`, `{"a":"1","b":"2","c":"3","d":"4","z":"1"}`},
		"null takes an inherited one":     {`{"sessions":{"a":null},"propagated_sessions":{"a":"1","b":"2"}}`, `{"b":"2"}`},
		"null takes them all":             {`{"sessions":null,"propagated_sessions":{"a":"1"}}`, ``},
		"an own one wins":                 {`{"sessions":{"a":"1"},"propagated_sessions":{"a":"2"}}`, `{"a":"1"}`},
		"a boolean is refused":            {`{"sessions":{"a":true}}`, `error: event session "a" must be a string, number, or null`},
		"a null inherited one is refused": {`{"propagated_sessions":{"a":null}}`, `error: event session "a" must be a string or number`},
		"an empty id is refused":          {`{"sessions":{"a":""}}`, `error: event session "a" cannot have an empty ID`},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := s.parseEvent([]byte(`{"name":"x","meta":` + c.meta + `}`))
			got := ""
			if err != nil {
				got = "error: " + err.Error()
			} else if len(ev.sessions) > 0 {
				got = string(marshal(ev.sessions))
			}
			if got != c.want {
				t.Errorf("sessions = %s, want %s", got, c.want)
			}
		})
	}
}
