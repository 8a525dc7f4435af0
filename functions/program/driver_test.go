package program_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestDriver_refusesMissingOptions(t *testing.T) {
	p := compile(t, `[{return: 1}]`)
	for name, spoil := range map[string]func(*program.Options){
		"Call":    func(o *program.Options) { o.Call = nil },
		"Send":    func(o *program.Options) { o.Send = nil },
		"Now":     func(o *program.Options) { o.Now = nil },
		"Timeout": func(o *program.Options) { o.Timeout = 0 },
		"Steps":   func(o *program.Options) { o.Limits.Steps = 0 },
		"Moves":   func(o *program.Options) { o.Limits.Moves = -1 },
		"Bytes":   func(o *program.Options) { o.Limits.Bytes = 0 },
	} {
		o := (&backend{}).options()
		spoil(&o)
		if _, err := p.Driver(o); err == nil {
			t.Errorf("without %s a driver was built", name)
		}
	}
}

func TestExecute_tellsThatEventsWereNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want run.Failure
	}{
		"a failure as it is": {&run.Failure{Name: "Refused", Message: "no", NoRetry: true, Code: inngest.CodeFunctionEvent}, run.Failure{Name: "Refused", Message: "no", NoRetry: true, Code: inngest.CodeFunctionEvent}},
		"any other error":    {errors.New("no connection"), run.Failure{Name: "EventError", Message: "no connection", Code: inngest.CodeFunctionEvent}},
	} {
		t.Run(name, func(t *testing.T) {
			o := (&backend{}).options()
			o.Send = func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, c.err }
			d, err := compile(t, `[{id: s, sendEvent: {name: x}}]`).Driver(o)
			if err != nil {
				t.Fatal(err)
			}
			s := only(t, d, newRun(`{}`))
			got := d.Execute(t.Context(), newRun(`{}`), &s, nil).Failure
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExecute_refusesStepsThatAreNotItsOwn(t *testing.T) {
	d := driver(t, `[{return: 1}]`, &backend{})
	if f := d.Execute(t.Context(), newRun(`{}`), &run.Step{Name: "x"}, nil).Failure; f == nil || f.Code != inngest.CodeFunctionInvalid {
		t.Errorf("failure %+v, want %s", f, inngest.CodeFunctionInvalid)
	}
}

func TestAdvance_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := driver(t, `[{try: [{set: {a: "${lists.range(9000).map(x, x)}"}}], catch: [{return: caught}]}]`, &backend{}).Advance(ctx, newRun(`{}`))
	if out.Failure == nil || out.Failure.NoRetry || out.Failure.Name != "Canceled" {
		t.Errorf("%s, want a failure that may be retried", told(out))
	}
}

func TestAdvance_saysWhatTheDataLacks(t *testing.T) {
	for event, want := range map[string]string{
		`{"data":`:   "no JSON",
		`{"data":1}`: "no such key: x",
	} {
		out := driver(t, `[{return: "${event.x}"}]`, &backend{}).Advance(t.Context(), newRun(event))
		if out.Failure == nil || !contains(out.Failure.Message, want) {
			t.Errorf("%s: %s, want %q", event, told(out), want)
		}
	}
}
