package inngest_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// decode reads JSON, strictly if the type is meant to know every member.
func decode[T any](t *testing.T, name string, body []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// sameJSON compares two JSON texts without regard to the order of members and
// to members that are null.
func sameJSON(t *testing.T, name string, got, want []byte) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if diff := cmp.Diff(withoutNulls(w), withoutNulls(g)); diff != "" {
		t.Errorf("%s is another JSON after a round trip (-recorded +ours):\n%s", name, diff)
	}
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
			} else {
				v[name] = withoutNulls(member)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// isCall tells whether the request is a call: a POST on the serve path with a
// ctx in its body.
func isCall(x recorded.Exchange) bool {
	return x.Direction == recorded.ToApp && bytes.HasPrefix(x.Request.Body, []byte(`{"ctx":`))
}

// A call that is read and written again must come out byte for byte, or the
// devserver sends something else than the server does.
func TestCallRequest_keepsEveryRecordedByte(t *testing.T) {
	calls := 0
	for _, x := range recorded.Load(t) {
		if !isCall(x) {
			continue
		}
		calls++
		request := decode[inngest.CallRequest](t, x.Name, x.Request.Body)
		got, err := jcs.Transform(marshal(t, request))
		if err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		if diff := cmp.Diff(string(x.Request.Body), string(got)); diff != "" {
			t.Errorf("%s is another call after a round trip (-recorded +ours):\n%s", x.Name, diff)
		}
	}
	if calls < 60 {
		t.Errorf("only %d recorded calls", calls)
	}
}

// ops returns every opcode of an exchange: of a 206, or of a checkpoint.
func ops(t *testing.T, x recorded.Exchange) []json.RawMessage {
	t.Helper()
	if x.Response.Status == 206 {
		if body := x.Response.Plain(t); body[0] == '{' {
			return []json.RawMessage{body}
		} else {
			return decode[[]json.RawMessage](t, x.Name, body)
		}
	}
	var checkpoint struct {
		RunID string `json:"run_id"`
		Steps []json.RawMessage
	}
	if json.Unmarshal(x.Request.Body, &checkpoint) != nil || checkpoint.RunID == "" {
		return nil
	}
	return checkpoint.Steps
}

func TestGeneratorOp_keepsEveryRecordedOpcode(t *testing.T) {
	seen := make(map[inngest.Opcode]int)
	for _, x := range recorded.Load(t) {
		for _, text := range ops(t, x) {
			var op inngest.GeneratorOp
			if err := json.Unmarshal(text, &op); err != nil {
				t.Fatalf("%s: %v", x.Name, err)
			}
			seen[op.Op]++
			if want := x.Number != 139; op.Op.Known() != want {
				t.Errorf("%s: %s.Known() = %v, want %v", x.Name, op.Op, !want, want)
			}
			if x.Response.Status == 206 {
				op = decode[inngest.GeneratorOp](t, x.Name, text)
				sameJSON(t, x.Name, marshal(t, op), text)
			} else if x.Response.Status == 200 && x.Number != 127 && !op.Op.Checkpointable() {
				t.Errorf("%s: %s was taken in a checkpoint", x.Name, op.Op)
			}
			wantID := inngest.RunCompleteID
			if op.Userland != nil {
				wantID = inngest.HashStepID(op.Userland.ID, op.Userland.Index)
			}
			if op.ID != wantID && op.Op != inngest.OpDeferAbort {
				t.Errorf("%s: id of %q is %s, HashStepID says %s", x.Name, op.Name, op.ID, wantID)
			}
		}
	}
	if len(seen) < 13 {
		t.Errorf("recordings have only the opcodes %v", seen)
	}
}

func TestParseOps_readsArrayAndSingleOpcode(t *testing.T) {
	for number, want := range map[int]int{9: 4, 80: 2, 131: 1} {
		x := recorded.One(t, number)
		got, err := inngest.ParseOps(x.Response.Body)
		if err != nil || len(got) != want {
			t.Errorf("%s: ParseOps returned %d opcodes, %v, want %d", x.Name, len(got), err, want)
		}
	}
	for _, bad := range []string{"", "null2", `{"op":1}`, `[{"op":[]}]`, `"x"`} {
		if _, err := inngest.ParseOps([]byte(bad)); err == nil {
			t.Errorf("ParseOps(%q) returned no error", bad)
		}
	}
}

func TestGeneratorOp_findsWhatEachSDKSaysElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		number            int
		wantSleep, wantEv string
	}{
		"JS has the duration in the name": {13, "1s", "1s"},
		"Go has it in the options":        {51, "1s", "nap"},
		"JS has the event in the name":    {14, "t/approve", "t/approve"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := inngest.ParseOps(recorded.One(t, c.number).Response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := all[0].SleepText(); got != c.wantSleep {
				t.Errorf("SleepText = %q, want %q", got, c.wantSleep)
			}
			if got := all[0].WaitEvent(); got != c.wantEv {
				t.Errorf("WaitEvent = %q, want %q", got, c.wantEv)
			}
		})
	}
}

func TestOpts_knowEveryRecordedMember(t *testing.T) {
	for op, c := range map[inngest.Opcode]struct {
		number int
		opts   any
	}{
		inngest.OpWaitForEvent:   {14, &inngest.WaitForEventOpts{}},
		inngest.OpSleep:          {51, &inngest.SleepOpts{}},
		inngest.OpWaitForSignal:  {66, &inngest.WaitForSignalOpts{}},
		inngest.OpGateway:        {74, &inngest.GatewayOpts{}},
		inngest.OpAIGateway:      {77, &inngest.AIGatewayOpts{}},
		inngest.OpDeferAdd:       {79, &inngest.DeferAddOpts{}},
		inngest.OpDeferAbort:     {80, &inngest.DeferAbortOpts{}},
		inngest.OpInvokeFunction: {17, &inngest.InvokeOpts{}},
		inngest.OpStepRun:        {88, &inngest.RunOpts{}},
	} {
		x := recorded.One(t, c.number)
		all, err := inngest.ParseOps(x.Response.Body)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(o inngest.GeneratorOp) bool { return o.Op == op })
		if i < 0 {
			t.Fatalf("%s has no %s", x.Name, op)
		}
		if err := all[i].ParseOpts(c.opts); err != nil {
			t.Errorf("%s: %v", x.Name, err)
		}
		sameJSON(t, x.Name, marshal(t, c.opts), all[i].Opts)
	}
}

func TestParseStepValue_tellsTheFourShapes(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		shape inngest.StepShape
		held  string
	}{
		"result":                     {`{"data":1}`, inngest.ShapeData, `1`},
		"result that is null":        {`{"data":null}`, inngest.ShapeData, `null`},
		"error":                      {`{"error":{"name":"E"}}`, inngest.ShapeError, `{"name":"E"}`},
		"changed input":              {`{"input":[{"changed":1}]}`, inngest.ShapeInput, `[{"changed":1}]`},
		"finished sleep":             {`null`, inngest.ShapeNull, `null`},
		"event that was waited for":  {`{"data":{},"name":"t/a"}`, inngest.ShapeData, `{"data":{},"name":"t/a"}`},
		"value without an envelope":  {`7`, inngest.ShapeData, `7`},
		"object with another member": {`{"datum":1}`, inngest.ShapeData, `{"datum":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			shape, held := inngest.ParseStepValue(json.RawMessage(c.value))
			if shape != c.shape || string(held) != c.held {
				t.Errorf("ParseStepValue = %s, %s, want %s, %s", shape, held, c.shape, c.held)
			}
		})
	}
}

// The shapes that the recordings have: no value may fall through unseen.
func TestParseStepValue_readsEveryRecordedStep(t *testing.T) {
	seen := make(map[inngest.StepShape]int)
	for _, x := range recorded.Load(t) {
		if !isCall(x) {
			continue
		}
		for _, value := range decode[inngest.CallRequest](t, x.Name, x.Request.Body).Steps {
			shape, held := inngest.ParseStepValue(value)
			seen[shape]++
			if shape == inngest.ShapeError {
				decode[inngest.UserError](t, x.Name, held)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("recordings have the shapes %v, want all four", seen)
	}
}
