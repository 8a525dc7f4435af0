package intake_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json; charset=utf-8"
)

func TestRead_mapsCloudEvents(t *testing.T) {
	const one = `{"specversion":"1.0","type":"com.example.order","source":"/orders","id":"A-1","time":"2026-11-24T17:33:03.123+01:00","datacontenttype":"application/json","subject":"s","data":{"n": 9007199254740993}}`
	const mapped = `{"name":"com.example.order","data":{"n": 9007199254740993},"id":"A-1","ts":1795537983123}`
	const bare = `{"id":"1","source":"x","type":"t","specversion":"1.0","data":null,"time":null,"traceparent":null}`
	first := fields{Raw: mapped, Name: "com.example.order", ID: "A-1", Data: `{"n": 9007199254740993}`, TS: 1795537983123}
	second := fields{Raw: `{"name":"t","id":"1"}`, Name: "t", ID: "1"}
	for name, c := range map[string]struct {
		contentType, body string
		want              []fields
	}{
		"structured":            {structured, one, []fields{first}},
		"structured, no data":   {"Application/CloudEvents+JSON; charset=UTF-8", " " + bare + "\n", []fields{second}},
		"batch":                 {batched, "[" + one + " , " + bare + "]\n", []fields{first, second}},
		"batch of none":         {batched, " [ ] ", nil},
		"escaped type":          {structured, `{"specversion":"1.0","type":"a\/b","source":"x","id":"\u0031"}`, []fields{{Raw: `{"name":"a\/b","id":"\u0031"}`, Name: "a/b", ID: "1"}}},
		"JSON in base64":        {structured, `{"specversion":"1.0","type":"t","source":"x","id":"1","data_base64":"IHsiYSI6MX0K"}`, []fields{{Raw: `{"name":"t","data":{"a":1},"id":"1"}`, Name: "t", ID: "1", Data: `{"a":1}`}}},
		"empty base64":          {structured, `{"specversion":"1.0","type":"t","source":"x","id":"1","data_base64":""}`, []fields{second}},
		"attributes of our own": {structured, `{"specversion":"1.0","type":"t","source":"x","id":"1","ts":5,"name":"no","v":1}`, []fields{second}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(t, c.contentType, c.body)); diff != "" {
				t.Errorf("Read(%q, %q) (-want +got):\n%s", c.contentType, c.body, diff)
			}
		})
	}
}

func TestReadRequest_mapsBinaryCloudEvents(t *testing.T) {
	header := map[string]string{"ce-specversion": "1.0", "ce-type": "caf%C3%A9 \"x\"", "ce-source": "/s", "ce-id": "7", "ce-time": "2026-11-24T16:33:03Z"}
	for name, c := range map[string]struct {
		contentType, body string
		want              fields
	}{
		"JSON":    {"application/json; charset=utf-8", " {\"a\":1}\n", fields{Raw: `{"name":"café \"x\"","data":{"a":1},"id":"7","ts":1795537983000}`, Name: `café "x"`, ID: "7", Data: `{"a":1}`, TS: 1795537983000}},
		"more":    {"application/vnd.order+json", `{}`, fields{Raw: `{"name":"café \"x\"","data":{},"id":"7","ts":1795537983000}`, Name: `café "x"`, ID: "7", Data: `{}`, TS: 1795537983000}},
		"null":    {"", `null`, fields{Raw: `{"name":"café \"x\"","id":"7","ts":1795537983000}`, Name: `café "x"`, ID: "7", TS: 1795537983000}},
		"no data": {"text/plain", " ", fields{Raw: `{"name":"café \"x\"","id":"7","ts":1795537983000}`, Name: `café "x"`, ID: "7", TS: 1795537983000}},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := newReader(t).ReadRequest(c.contentType, func(name string) string { return header[name] }, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]fields{c.want}, texts(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// ce makes a CloudEvent of the required attributes and the given members, which
// may replace them.
func ce(members string) string {
	return `{"specversion":"1.0","type":"t","source":"/s","id":"1",` + members + `}`
}

func TestBadInputs_areRefusedAsCloudEvents(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		index, status     int
		field             string
		rule              intake.Rule
		says              string
	}{
		"array where one is meant":  {structured, `[]`, -1, 400, "", intake.RuleBodyType, "must be an object"},
		"nothing":                   {structured, ``, -1, 400, "", intake.RuleBodyType, "must be an object"},
		"object where many are":     {batched, ce(`"a":1`), -1, 400, "", intake.RuleBodyType, "must be an array"},
		"Avro":                      {"application/cloudevents+avro", "\x00", -1, 415, "", intake.RuleCloudEvent, "not as application/cloudevents+avro"},
		"Protobuf batch":            {"application/cloudevents-batch+protobuf", "\x00", -1, 415, "", intake.RuleCloudEvent, "CloudEvents are taken as"},
		"cut":                       {structured, `{"specversion":"1.0"`, 0, 400, "", intake.RuleSyntax, "unexpected end"},
		"cut value":                 {structured, `{"specversion":`, 0, 400, "", intake.RuleSyntax, "unexpected end"},
		"bytes after it":            {structured, ce(`"a":1`) + "x", 1, 400, "", intake.RuleSyntax, "after top-level value"},
		"batch without an end":      {batched, "[" + ce(`"a":1`), 1, 400, "", intake.RuleSyntax, "unexpected end"},
		"batch cut after a comma":   {batched, "[" + ce(`"a":1`) + ",", 1, 400, "", intake.RuleSyntax, "unexpected end"},
		"batch with a last comma":   {batched, "[" + ce(`"a":1`) + ",]", 1, 400, "", intake.RuleSyntax, "invalid character ']'"},
		"bytes after a batch":       {batched, "[]x", 0, 400, "", intake.RuleSyntax, "after top-level value"},
		"number in a batch":         {batched, "[" + ce(`"a":1`) + ",1]", 1, 400, "", intake.RuleType, "must be an object, not a number"},
		"over 5,000":                {batched, "[" + strings.Repeat(ce(`"a":1`)+",", 5000) + ce(`"a":1`) + "]", 5000, 400, "", intake.RuleEventCount, "more than 5000"},
		"no specversion":            {structured, `{"type":"t","source":"/s","id":"1"}`, 0, 400, "specversion", intake.RuleCloudEvent, "has no specversion"},
		"specversion 0.3":           {structured, ce(`"specversion":"0.3"`), 0, 400, "specversion", intake.RuleCloudEvent, `"0.3" is not known, want "1.0"`},
		"number as specversion":     {structured, ce(`"specversion":1.0`), 0, 400, "specversion", intake.RuleType, "must be a string, not a number"},
		"no type":                   {structured, `{"specversion":"1.0","source":"/s","id":"1"}`, 0, 400, "type", intake.RuleCloudEvent, "has no type"},
		"null type":                 {structured, ce(`"type":null`), 0, 400, "type", intake.RuleCloudEvent, "has no type"},
		"type in capitals":          {structured, `{"specversion":"1.0","Type":"t","source":"/s","id":"1"}`, 0, 400, "type", intake.RuleCloudEvent, "has no type"},
		"empty type":                {structured, ce(`"type":""`), 0, 400, "type", intake.RuleCloudEvent, "type of the CloudEvent is empty"},
		"array as type":             {structured, ce(`"type":["t"]`), 0, 400, "type", intake.RuleType, "must be a string, not an array"},
		"reserved type":             {structured, ce(`"type":"Inngest/x"`), 0, 400, "type", intake.RuleNameReserved, "reserved for internal use"},
		"type of 513 bytes":         {structured, ce(`"type":"` + repeat("t", 513) + `"`), 0, 400, "type", intake.RuleNameLength, "has 513 bytes"},
		"no source":                 {structured, `{"specversion":"1.0","type":"t","id":"1"}`, 0, 400, "source", intake.RuleCloudEvent, "has no source"},
		"empty source":              {structured, ce(`"source":""`), 0, 400, "source", intake.RuleCloudEvent, "source of the CloudEvent is empty"},
		"no id":                     {structured, `{"specversion":"1.0","type":"t","source":"/s"}`, 0, 400, "id", intake.RuleCloudEvent, "has no id"},
		"number as id":              {structured, ce(`"id":1`), 0, 400, "id", intake.RuleType, "must be a string, not a number"},
		"empty id in a batch":       {batched, "[" + ce(`"a":1`) + "," + ce(`"id":""`) + "]", 1, 400, "id", intake.RuleCloudEvent, "id of the CloudEvent is empty"},
		"number as time":            {structured, ce(`"time":1795537983123`), 0, 400, "time", intake.RuleType, "must be a string, not a number"},
		"date as time":              {structured, ce(`"time":"2026-11-24"`), 0, 400, "time", intake.RuleCloudEvent, `"2026-11-24" is no RFC 3339 time`},
		"time in 1979":              {structured, ce(`"time":"1979-12-31T23:59:59Z"`), 0, 400, "time", intake.RuleTimestamp, "before Jan 1, 1980"},
		"time of the epoch":         {structured, ce(`"time":"1970-01-01T00:00:00Z"`), 0, 400, "time", intake.RuleTimestamp, "before Jan 1, 1980"},
		"time in 2101":              {structured, ce(`"time":"2101-01-01T00:00:00Z"`), 0, 400, "time", intake.RuleTimestamp, "after Jan 1, 2100"},
		"text as data":              {structured, ce(`"data":"hello"`), 0, 400, "data", intake.RuleType, "must be a JSON object, not a string"},
		"array as data":             {structured, ce(`"data":[1]`), 0, 400, "data", intake.RuleType, "must be a JSON object, not an array"},
		"huge number in data":       {structured, ce(`"data":{"x":1e400}`), 0, 400, "data", intake.RuleNumber, "does not fit"},
		"data twice":                {structured, ce(`"data":{},"data_base64":"e30="`), 0, 400, "data_base64", intake.RuleCloudEvent, "want one of them"},
		"number as base64":          {structured, ce(`"data_base64":1`), 0, 400, "data_base64", intake.RuleType, "must be a string, not a number"},
		"no base64":                 {structured, ce(`"data_base64":"%%"`), 0, 400, "data_base64", intake.RuleCloudEvent, "is no base64"},
		"text in base64":            {structured, ce(`"data_base64":"aGVsbG8="`), 0, 400, "data_base64", intake.RuleCloudEvent, "holds no JSON"},
		"array in base64":           {structured, ce(`"data_base64":"WzFd"`), 0, 400, "data_base64", intake.RuleType, "must be a JSON object, not an array"},
		"a member too many, base64": {structured, ce(`"data_base64":"e30sIm5hbWUiOiJ4Ig=="`), 0, 400, "data_base64", intake.RuleCloudEvent, "holds no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			err := wantError(t, newReader(t), c.contentType, c.body)
			if err.Index != c.index || err.Field != c.field || err.Rule != c.rule || err.Status != c.status || !strings.Contains(err.Message, c.says) {
				t.Errorf("Read(%q, %.200q) = %+v, want index %d, field %q, rule %s, status %d and a message with %q", c.contentType, c.body, *err, c.index, c.field, c.rule, c.status, c.says)
			}
		})
	}
}

func TestBadInputs_areRefusedAsBinaryCloudEvents(t *testing.T) {
	for name, c := range map[string]struct {
		header            map[string]string // beside the required attributes
		contentType, body string
		status            int
		field             string
		rule              intake.Rule
		says              string
	}{
		"text":             {nil, "text/plain", "hello", 415, "data", intake.RuleCloudEvent, "must be JSON, not text/plain"},
		"text as JSON":     {nil, "application/json", "hello", 400, "", intake.RuleSyntax, "looking for beginning of value"},
		"array":            {nil, "application/json", "[1]", 400, "data", intake.RuleType, "must be a JSON object, not an array"},
		"two values":       {nil, "application/json", "{},\"name\":\"x\"", 400, "", intake.RuleSyntax, "after top-level value"},
		"vertical tab":     {nil, "application/json", "\v", 400, "", intake.RuleSyntax, "invalid character 0x0b"},
		"no type":          {map[string]string{"ce-type": ""}, "", "{}", 400, "type", intake.RuleCloudEvent, "has no type"},
		"no id":            {map[string]string{"ce-id": ""}, "", "{}", 400, "id", intake.RuleCloudEvent, "has no id"},
		"half an escape":   {map[string]string{"ce-id": "100%"}, "", "{}", 400, "ce-id", intake.RuleCloudEvent, "not percent-encoded"},
		"another version":  {map[string]string{"ce-specversion": "2.0"}, "", "{}", 400, "specversion", intake.RuleCloudEvent, `want "1.0"`},
		"bad time":         {map[string]string{"ce-time": "now"}, "", "{}", 400, "time", intake.RuleCloudEvent, "is no RFC 3339 time"},
		"quotes in a type": {map[string]string{"ce-type": `inngest/","name":"x`}, "", "{}", 400, "type", intake.RuleNameReserved, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			header := func(name string) string {
				if value, ok := c.header[name]; ok {
					return value
				}
				return map[string]string{"ce-specversion": "1.0", "ce-type": "t", "ce-source": "/s", "ce-id": "1"}[name]
			}
			events, err := newReader(t).ReadRequest(c.contentType, header, []byte(c.body))
			var e *intake.Error
			if !errors.As(err, &e) || events != nil {
				t.Fatalf("ReadRequest = %d events, %v, want an error", len(events), err)
			}
			if e.Index != 0 || e.Field != c.field || e.Rule != c.rule || e.Status != c.status || !strings.Contains(e.Message, c.says) {
				t.Errorf("ReadRequest = %+v, want index 0, field %q, rule %s, status %d and a message with %q", *e, c.field, c.rule, c.status, c.says)
			}
		})
	}
}

// Whatever a CloudEvent holds, what it is mapped to is one event that the server
// takes, with the CloudEvent's own type.
func FuzzRead_cloudEvent(f *testing.F) {
	for _, body := range []string{
		ce(`"data":{"a":1}`), ce(`"data_base64":"e30="`), ce(`"time":"2026-11-24T16:33:03Z"`), ce(`"type":"\ud800"`), ce("\"id\":\"\xff\""),
		`{"specversion":"1.0","type":"a\/b","source":"x","id":"\u0031"}`,
	} {
		f.Add([]byte(body))
	}
	r := newReader(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := r.Read(structured, body)
		if err != nil {
			checkError(t, body, err)
			return
		}
		if len(events) != 1 {
			t.Fatalf("Read(%q) = %d events, want 1", body, len(events))
		}
		theirs, err := serverReads(events[0].Raw)
		if err != nil || len(theirs) != 1 || theirs[0].Name != string(events[0].Name) || theirs[0].ID != string(events[0].ID) || theirs[0].TS != events[0].TS {
			t.Fatalf("Read(%q) made %s, which the server reads as %+v, %v", body, events[0].Raw, theirs, err)
		}
	})
}
