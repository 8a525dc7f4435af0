package devserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// held starts a run whose first call is held, and returns it.
func held(t *testing.T, s *Server, base string, script ...reply) (*double, chan struct{}, inngest.CallRequest) {
	t.Helper()
	d := newDouble(t, map[string][]reply{"js-cp-slow": script})
	hold := make(chan struct{})
	d.hold["js-cp-slow"], d.came = hold, make(chan string, 9)
	d.register(base, d.manifest("js-cp-slow", on("c/slow"), 1, ""))
	send(t, s, "c/slow", map[string]any{})
	next(t, d.came)
	var c inngest.CallRequest
	if err := json.Unmarshal([]byte(d.callsOf("js-cp-slow")[0].body), &c); err != nil {
		t.Fatal(err)
	}
	return d, hold, c
}

// checkpoint is a recorded checkpoint made to fit a call; started is when the
// app says that the call began.
func checkpoint(t *testing.T, number, base string, c inngest.CallRequest, started time.Time, change ...func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	r := record(t, number).Request
	var body map[string]any
	if err := json.Unmarshal([]byte(r.body(t)), &body); err != nil {
		t.Fatal(err)
	}
	body["run_id"], body["qi_id"], body["generation_id"] = c.Ctx.RunID, c.Ctx.QueueItemID, c.Ctx.GenerationID
	body["request_started_at"] = started.UnixMilli()
	text := string(marshal(body))
	r.Body = &text
	r.Target = "/v1/checkpoint/" + c.Ctx.RunID + "/async"
	return r.ask(t, base, change...)
}

func TestCheckpoint_keepsStepsOfARunningCall(t *testing.T) {
	s, base := newServer(t, Options{})
	d, hold, c := held(t, s, base, ops(sleep("zzz", "1ms")), result("1"))
	status, h, body := checkpoint(t, "135", base, c, time.Now())
	if diff := answerDiffers(t, record(t, "135").Response, status, h, body); diff != "" {
		t.Error(diff)
	}
	if steps := s.Runs()[0].Steps; string(steps["640d87e741e6aa4c669a82a4cd304787960513ab"]) != `{"data":"one"}` {
		t.Errorf("steps = %v", steps)
	}
	close(hold)
	ended(t, s, "js-cp-slow", 1)
	last := d.callsOf("js-cp-slow")[1]
	if want := `"stack":{"current":2,"stack":["640d87e741e6aa4c669a82a4cd304787960513ab",`; !strings.Contains(last.body, want) {
		t.Errorf("next call = %s, want %s in it", last.body, want)
	}
	// The run is over: nothing may be added to it.
	status, _, body = checkpoint(t, "135", base, c, time.Now())
	if want := fmt.Sprintf(`{"error":"metadata not found","data":{"run_id":%q},"status":400}`+"\n", c.Ctx.RunID); status != 400 || body != want {
		t.Errorf("checkpoint of an ended run = %d %s, want %s", status, body, want)
	}
}

func TestCheckpoint_refusals(t *testing.T) {
	s, base := newServer(t, Options{})
	_, hold, c := held(t, s, base, result("1"))
	defer close(hold)
	for name, r := range map[string]struct {
		number string
		change func(*http.Request)
	}{
		"a token of another key": {"138", func(*http.Request) {}},
		"an unknown opcode":      {"139", func(*http.Request) {}},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, body := checkpoint(t, r.number, base, c, time.Now(), r.change)
			if diff := answerDiffers(t, record(t, r.number).Response, status, h, body); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, r := range map[string]struct {
		steps  string
		status int
		text   string
	}{
		"a sleep":            {sleep("s", "1s"), 400, "cannot checkpoint async steps"},
		"a finished run":     {op("RunComplete", "x", `,"data":1`), 400, "cannot checkpoint opcode: RunComplete"},
		"a step's failure":   {op("StepFailed", "x", `,"error":{}`), 400, "cannot checkpoint opcode: StepFailed"},
		"a step too large":   {stepRun("x", `"`+strings.Repeat("x", maxStepOutput)+`"`), 413, "too large"},
		"a step that begins": {op("StepPlanned", "x", ""), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"run_id":%q,"steps":[%s]}`, c.Ctx.RunID, r.steps)
			status, _, answer := do(t, authorised(t, "POST", base+"/v1/checkpoint/"+c.Ctx.RunID+"/async", body))
			if status != r.status || !strings.Contains(answer, r.text) {
				t.Errorf("answer = %d %s, want %d with %q", status, answer, r.status, r.text)
			}
		})
	}
}

func TestCheckpoint_ofAnOldGeneration(t *testing.T) {
	for name, c := range map[string]struct {
		fenced  bool
		started time.Duration // ago
		number  string        // recording of the answer
	}{
		"without the fence it counts":       {false, 13 * time.Second, "135"},
		"with the fence it is a 409":        {true, 13 * time.Second, "94"},
		"with the fence, but a young call":  {true, time.Second, "135"},
		"a call from the future is not new": {true, -time.Minute, "94"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s, base := newServer(t, Options{Clock: clock, Fenced: c.fenced})
			d, hold, first := held(t, s, base, reply{cut: true}, ops(stepRun("s2", `"two"`)), result("1"))
			hold <- struct{}{}
			until(t, s, "js-cp-slow", "Error", 1) // the connection is lost, the app goes on
			clock.Advance(time.Minute)
			next(t, d.came) // generation 2
			defer close(hold)
			status, h, body := checkpoint(t, c.number, base, first, time.Now().Add(-c.started))
			if diff := answerDiffers(t, record(t, c.number).Response, status, h, body); diff != "" {
				t.Error(diff)
			}
			_, kept := s.Runs()[0].Steps["640d87e741e6aa4c669a82a4cd304787960513ab"]
			if want := c.number == "135"; kept != want {
				t.Errorf("step kept: %v, want %v", kept, want)
			}
		})
	}
}

func TestCheckpoint_beforeTheNextGenerationIsCarriedByItAsRecorded(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d, hold, first := held(t, s, base, reply{cut: true}, recordedReply(t, "137"), result("1"))
	close(hold)
	until(t, s, "js-cp-slow", "Error", 1)
	checkpoint(t, "135", base, first, time.Now())
	clock.Advance(time.Minute)
	ended(t, s, "js-cp-slow", 1)
	got := d.callsOf("js-cp-slow")[1]
	want := record(t, "137")
	data := `{"ms":13000,"ms2":12000,"ms3":100}`
	got.body = strings.ReplaceAll(got.body, `"data":{},"id"`, `"data":`+data+`,"id"`)
	if a, b := steady(got.body), steady(want.Request.body(t)); a != b {
		t.Errorf("call:\n%s\nwant:\n%s", a, b)
	}
}
