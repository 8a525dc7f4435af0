package inngest_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestScanIdentity_agreesWithEveryRecordedCall(t *testing.T) {
	calls := 0
	for _, x := range recorded.Load(t) {
		var want inngest.CallRequest
		if x.Direction != recorded.ToApp || json.Unmarshal(x.Request.Body, &want) != nil || want.Ctx.RunID == "" {
			if got, ok := inngest.ScanIdentity(x.Request.Body); ok {
				t.Errorf("%s: ScanIdentity = %+v for a request that is no call", x.Name, got)
			}
			continue
		}
		calls++
		got, ok := inngest.ScanIdentity(x.Request.Body)
		if !ok || got != want.Identity() {
			t.Errorf("%s: ScanIdentity = %+v, %v, want %+v", x.Name, got, ok, want.Identity())
		}
	}
	if calls < 60 {
		t.Errorf("only %d recorded calls", calls)
	}
}

func TestScanIdentity_readsOnlyPlainCanonicalOrder(t *testing.T) {
	run := inngest.Identity{RunID: "r"}
	whole := inngest.Identity{
		RunID: "r", FunctionID: "f", JobID: "j", RequestID: "q", StepID: "step",
		Generation: 2, Attempt: 1, MaxAttempts: 5, UseAPI: true,
	}
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		body string
		want inngest.Identity // zero: unreadable
	}{
		"every field": {`{"ctx":{"attempt":1,"fn_id":"f","generation_id":2,"job_id":"j","max_attempts":5,` +
			`"request_id":"q","run_id":"r","step_id":"step","use_api":true},"version":1}`, whole},
		"ctx alone":                  {`{"ctx":{"run_id":"r"}}`, run},
		"members that are not ours":  {`{"ctx":{"env":"\"},\\\u00e9ä","qi_id":1.5e-7,"run_id":"r","z":[null,{"a":[]}]},"z":1}`, run},
		"run id inside another name": {`{"ctx":{"a":{"run_id":"x"},"run_id":"r","stack":{"run_id":"y"}}}`, run},
		"ids inside the stack":       {`{"ctx":{"run_id":"r","stack":{"current":1,"stack":["run_id","},{"]}},"z":1}`, run},
		"unsigned tail that is no JSON is the signature's matter": {`{"ctx":{"run_id":"r"},"event":{{{`, run},

		"nothing":                       {``, inngest.Identity{}},
		"no object":                     {`[{"ctx":{"run_id":"r"}}]`, inngest.Identity{}},
		"no run":                        {`{"ctx":{"job_id":"j"}}`, inngest.Identity{}},
		"empty run":                     {`{"ctx":{"run_id":""}}`, inngest.Identity{}},
		"no member at all":              {`{"ctx":{}}`, inngest.Identity{}},
		"ctx after another member":      {`{"a":1,"ctx":{"run_id":"r"}}`, inngest.Identity{}},
		"ctx inside another member":     {`{"a":{"ctx":{"run_id":"r"}}}`, inngest.Identity{}},
		"ctx twice":                     {`{"ctx":{"run_id":"r"},"ctx":{"run_id":"s"}}`, inngest.Identity{}},
		"ctx twice, second escaped":     {`{"ctx":{"run_id":"r"},"ct\u0078":{"run_id":"s"}}`, inngest.Identity{}},
		"next member out of order":      {`{"ctx":{"run_id":"r"},"a":1}`, inngest.Identity{}},
		"ctx is no object":              {`{"ctx":[{"run_id":"r"}]}`, inngest.Identity{}},
		"ctx is null":                   {`{"ctx":null}`, inngest.Identity{}},
		"white space before":            {` {"ctx":{"run_id":"r"}}`, inngest.Identity{}},
		"white space inside":            {`{"ctx":{"run_id": "r"}}`, inngest.Identity{}},
		"white space after":             {`{"ctx":{"run_id":"r"}} `, inngest.Identity{}},
		"byte order mark":               {"\ufeff" + `{"ctx":{"run_id":"r"}}`, inngest.Identity{}},
		"escaped name":                  {`{"ctx":{"run\u005fid":"x","run_id":"r"}}`, inngest.Identity{}},
		"repeated name":                 {`{"ctx":{"run_id":"x","run_id":"r"}}`, inngest.Identity{}},
		"unsorted names":                {`{"ctx":{"run_id":"r","attempt":1}}`, inngest.Identity{}},
		"our name in capitals":          {`{"ctx":{"RUN_ID":"x","run_id":"r"}}`, inngest.Identity{}},
		"our name with a long s":        {`{"ctx":{"run_id":"r","ſtep_id":"s"}}`, inngest.Identity{}},
		"empty name":                    {`{"ctx":{"":1,"run_id":"r"}}`, run},
		"escaped value":                 {`{"ctx":{"run_id":"\u0072"}}`, inngest.Identity{}},
		"value beyond ASCII":            {`{"ctx":{"run_id":"é"}}`, inngest.Identity{}},
		"control character in a value":  {"{\"ctx\":{\"run_id\":\"r\n\"}}", inngest.Identity{}},
		"run id is a number":            {`{"ctx":{"run_id":1}}`, inngest.Identity{}},
		"run id is null":                {`{"ctx":{"run_id":null}}`, inngest.Identity{}},
		"run id is long":                {`{"ctx":{"run_id":"` + long + `"}}`, inngest.Identity{}},
		"attempt is a string":           {`{"ctx":{"attempt":"1","run_id":"r"}}`, inngest.Identity{}},
		"attempt is negative":           {`{"ctx":{"attempt":-1,"run_id":"r"}}`, inngest.Identity{}},
		"attempt has a leading zero":    {`{"ctx":{"attempt":01,"run_id":"r"}}`, inngest.Identity{}},
		"attempt has a fraction":        {`{"ctx":{"attempt":1.0,"run_id":"r"}}`, inngest.Identity{}},
		"attempt has an exponent":       {`{"ctx":{"attempt":1e0,"run_id":"r"}}`, inngest.Identity{}},
		"attempt overflows":             {`{"ctx":{"attempt":1000000000,"run_id":"r"}}`, inngest.Identity{}},
		"use_api is a number":           {`{"ctx":{"run_id":"r","use_api":1}}`, inngest.Identity{}},
		"nested too deep":               {`{"ctx":{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `,"run_id":"r"}}`, inngest.Identity{}},
		"nested without end":            {`{"ctx":{"a":` + strings.Repeat("[", 100000), inngest.Identity{}},
		"broken string escape":          {`{"ctx":{"env":"\u00g0","run_id":"r"}}`, inngest.Identity{}},
		"broken escape at the end":      {`{"ctx":{"env":"\`, inngest.Identity{}},
		"broken number":                 {`{"ctx":{"a":1.,"run_id":"r"}}`, inngest.Identity{}},
		"broken exponent":               {`{"ctx":{"a":1e+,"run_id":"r"}}`, inngest.Identity{}},
		"broken literal":                {`{"ctx":{"a":nul,"run_id":"r"}}`, inngest.Identity{}},
		"comma too many":                {`{"ctx":{"run_id":"r",}}`, inngest.Identity{}},
		"comma too few":                 {`{"ctx":{"job_id":"j""run_id":"r"}}`, inngest.Identity{}},
		"comma too many in a list":      {`{"ctx":{"a":[1,],"run_id":"r"}}`, inngest.Identity{}},
		"cut inside ctx":                {`{"ctx":{"run_id":"r"`, inngest.Identity{}},
		"cut after ctx":                 {`{"ctx":{"run_id":"r"}`, inngest.Identity{}},
		"cut in the next name":          {`{"ctx":{"run_id":"r"},"e`, inngest.Identity{}},
		"text after the end":            {`{"ctx":{"run_id":"r"}}{}`, inngest.Identity{}},
		"ctx larger than what is read":  {`{"ctx":{"a":"` + strings.Repeat("x", 128<<10) + `","run_id":"r"}}`, inngest.Identity{}},
		"a stack of a thousand strange": {`{"ctx":{"run_id":"r","stack":[` + strings.Repeat(`{"a":1},`, 1000) + `]}}`, inngest.Identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := inngest.ScanIdentity([]byte(c.body))
			if got != c.want || ok != (c.want != inngest.Identity{}) {
				t.Errorf("ScanIdentity = %+v, %v, want %+v", got, ok, c.want)
			}
		})
	}
}

// largest returns a call of a run with a thousand steps.
func largest() []byte {
	stack := make([]string, 1000)
	for i := range stack {
		stack[i] = strconv.Quote(inngest.HashStepID("s", i))
	}
	return []byte(`{"ctx":{"fn_id":"f","run_id":"r","stack":{"current":1000,"stack":[` +
		strings.Join(stack, ",") + `]},"step_id":"step","use_api":false},"version":2}`)
}

func TestScanIdentity_findsTheStepBehindALongStack(t *testing.T) {
	got, ok := inngest.ScanIdentity(largest())
	if want := (inngest.Identity{RunID: "r", FunctionID: "f", StepID: "step"}); !ok || got != want {
		t.Errorf("ScanIdentity = %+v, %v, want %+v", got, ok, want)
	}
}

func TestScanIdentity_keepsNothingOfTheBody(t *testing.T) {
	body := bytes.Clone(recorded.One(t, 5).Request.Body)
	got, _ := inngest.ScanIdentity(body)
	want := got.RunID
	want = strings.Clone(want)
	clear(body)
	if got.RunID != want {
		t.Errorf("the identity changed with the body: run is %q, was %q", got.RunID, want)
	}
}

// Whenever an identity is found, a full parser finds the same one. A second
// ctx further on is left to the signature: canonical JSON has none.
func FuzzScanIdentity(f *testing.F) {
	for _, x := range recorded.Load(f) {
		if x.Direction == recorded.ToApp {
			f.Add(x.Request.Body)
		}
	}
	f.Add([]byte(`{"ctx":{"a":{"run_id":"x"},"run_id":"r","z":[1.5e-7,"\u00e9"]},"z":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := inngest.ScanIdentity(body)
		if !ok {
			if got != (inngest.Identity{}) {
				t.Errorf("ScanIdentity = %+v, false", got)
			}
			return
		}
		names, valid := memberNames(body)
		if !valid || countFold(names, "ctx") != 1 {
			return
		}
		// Members of a call's ctx that are not part of an identity may have
		// any type here.
		var want struct {
			Ctx struct {
				RunID        string `json:"run_id"`
				FunctionID   string `json:"fn_id"`
				JobID        string `json:"job_id"`
				RequestID    string `json:"request_id"`
				StepID       string `json:"step_id"`
				GenerationID int    `json:"generation_id"`
				Attempt      int    `json:"attempt"`
				MaxAttempts  int    `json:"max_attempts"`
				UseAPI       bool   `json:"use_api"`
			} `json:"ctx"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("ScanIdentity = %+v of %q: %v", got, body, err)
		}
		c := want.Ctx
		if identity := (inngest.Identity{
			RunID: c.RunID, FunctionID: c.FunctionID, JobID: c.JobID, RequestID: c.RequestID, StepID: c.StepID,
			Generation: c.GenerationID, Attempt: c.Attempt, MaxAttempts: c.MaxAttempts, UseAPI: c.UseAPI,
		}); got != identity {
			t.Errorf("ScanIdentity = %+v, encoding/json finds %+v in %q", got, identity, body)
		}
	})
}

// memberNames returns the names of the top-level members of a JSON object.
func memberNames(body []byte) (names []string, valid bool) {
	if !json.Valid(body) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if token, _ := d.Token(); token != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		names = append(names, name.(string))
		if err := d.Decode(new(json.RawMessage)); err != nil {
			return nil, false
		}
	}
	return names, true
}

func countFold(names []string, name string) (n int) {
	for _, other := range names {
		if strings.EqualFold(other, name) {
			n++
		}
	}
	return n
}

func BenchmarkScanIdentity(b *testing.B) {
	for name, body := range map[string][]byte{
		"recorded":       recorded.One(b, 12).Request.Body,
		"thousand steps": largest(),
		"hostile":        []byte(`{"ctx":{"a":[` + strings.Repeat(`[[[[[[]]]]]],`, 10000)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				inngest.ScanIdentity(body)
			}
		})
	}
}
