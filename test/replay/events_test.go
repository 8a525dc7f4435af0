package replay

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// Events do not pass: the event plane takes them, and sends what it took in
// requests of its own. These recorded requests are answered without Inngest; of
// each the status and why.
var unsentEvents = map[int]struct {
	why    string
	status int
	code   inngest.Code
}{
	111: {"an event that Inngest would refuse", 400, inngest.CodeEventInvalid},
	112: {"an event that Inngest would refuse", 400, inngest.CodeEventInvalid},
	113: {"an event that Inngest would refuse", 400, inngest.CodeEventInvalid},
	114: {"an event that Inngest would refuse", 400, inngest.CodeEventInvalid},
	115: {"refused whole, where Inngest takes the event before the bad one", 400, inngest.CodeEventInvalid},
	117: {"a form is no event", 400, inngest.CodeEventInvalid},
	118: {"an empty array is no event", 200, ""},
	119: {"an empty body is no event", 200, ""},
	123: {"the same seed and body as 122: the same ids, and nothing is sent again", 200, ""},
}

// ndjson is the recording of lines that Inngest refuses and the gateway takes.
const ndjson = 116

func isEvents(x recorded.Exchange) bool { return strings.HasPrefix(x.Request.Target, "/e/") }

// replayEvents puts a recorded request of events through the gateway.
func (m mode) replayEvents(t *testing.T, server *double, address string, x recorded.Exchange) {
	answer := exchange(t, address, m.appSends(t, x))
	requests := server.got()
	if u, ok := unsentEvents[x.Number]; ok {
		if answer.status() != u.status || answer.get(inngest.HeaderGatewayError) != string(u.code) {
			t.Errorf("answer = %s %s, want %d %s: %s", answer.start, answer.body, u.status, u.code, u.why)
		}
		if len(requests) > 0 {
			t.Errorf("Inngest got %d requests: %s", len(requests), u.why)
		}
		if u.status == 400 && (len(wordsOf(t, x.Response.Body)) == 0 || !strings.Contains(wordsOf(t, answer.body), "(")) {
			t.Errorf("body = %s, want what is wrong and where; recorded %s", answer.body, x.Response.Body)
		}
		if u.status == 200 && !bytes.Equal(answer.body, x.Response.Body) {
			t.Errorf("body = %s, recorded %s", answer.body, x.Response.Body)
		}
		return
	}
	if len(requests) == 0 {
		t.Fatalf("Inngest got nothing; the answer is %s %s", answer.start, answer.body)
	}
	m.wantEvents(t, requests[0], x)
	if x.Number == ndjson {
		return // what the recorded server says to lines is no answer to an array
	}
	if len(requests) > 1 || answer.status() != x.Response.Status || !bytes.Equal(answer.body, x.Response.Body) {
		t.Errorf("answer = %s %s after %d requests, recorded %d %s", answer.start, answer.body, len(requests), x.Response.Status, x.Response.Body)
	}
	if got := answer.get("Content-Type"); got != intake.AnswerType {
		t.Errorf("content type = %q", got)
	}
}

// wantEvents compares what Inngest got with the recorded events: as an array,
// each byte for byte, under the real event key and a seed of the gateway's.
func (m mode) wantEvents(t *testing.T, got message, x recorded.Exchange) {
	t.Helper()
	reader, err := intake.New(intake.ServerLimits(8 << 20))
	if err != nil {
		t.Fatal(err)
	}
	events, err := reader.Read("application/json", x.Request.Body)
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, e := range events {
		raw = append(raw, e.Raw)
	}
	if want := "[" + string(bytes.Join(raw, []byte(","))) + "]"; string(got.body) != want {
		t.Errorf("Inngest got the body %q, want %q", got.body, want)
	}
	if want := "POST /e/" + recorded.EventKey + " HTTP/1.1"; got.start != want {
		t.Errorf("Inngest got %q, want %q", got.start, want)
	}
	seed := got.get(inngest.HeaderEventIDSeed)
	if _, err := inngest.ParseSeed(seed); err != nil {
		t.Error(err)
	}
	for _, f := range x.Request.Headers {
		if strings.EqualFold(f.Name, inngest.HeaderEventIDSeed) && f.Value == seed {
			t.Error("the seed is the caller's: events of others may be in the batch")
		}
	}
}

// wordsOf is the error in an answer of the event API.
func wordsOf(tb testing.TB, body []byte) string {
	tb.Helper()
	var answer struct{ Error string }
	if err := json.Unmarshal(body, &answer); err != nil {
		tb.Errorf("%s: %v", body, err)
	}
	return answer.Error
}

// wrongEventKey is the recording of an event key that nobody knows. In
// passthrough and strip Inngest is asked, in passthrough with that key, in strip
// with the real one; its answer is the app's. In resign see refusals.
const wrongEventKey = 121

func (m mode) replayWrongKey(t *testing.T, server *double, address string, x recorded.Exchange) {
	answer := exchange(t, address, m.appSends(t, x))
	if answer.status() != 401 || wordsOf(t, answer.body) == "" {
		t.Errorf("answer = %s %s, want 401", answer.start, answer.body)
	}
	key := "nope"
	if m.signing == config.SigningStrip {
		key = recorded.EventKey
	}
	requests := server.got()
	if len(requests) == 0 {
		t.Fatal("Inngest was not asked")
	}
	if want := "POST /e/" + key + " HTTP/1.1"; requests[0].start != want {
		t.Errorf("Inngest got %q, want %q", requests[0].start, want)
	}
}
