package intake_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// A badEvent is one that must be refused wherever it stands.
type badEvent struct {
	text  string
	field string
	rule  intake.Rule
	says  string // part of the message
}

func repeat(text string, n int) string { return strings.Repeat(text, n) }

func badEvents() map[string]badEvent {
	return map[string]badEvent{
		"empty object":                {`{}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"no name":                     {`{"data":{}}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"empty name":                  {`{"name":""}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"null name":                   {`{"name":null}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"name emptied by a later one": {`{"name":"a","Name":""}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"name inside data only":       {`{"data":{"name":"a"}}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"name in a foreign member":    {`{"event":"a"}`, "name", intake.RuleNameEmpty, "event name is empty"},
		"number as name":              {`{"name":1}`, "name", intake.RuleType, "name must be a string, not a number"},
		"boolean as name":             {`{"name":true}`, "name", intake.RuleType, "name must be a string, not a boolean"},
		"array as name":               {`{"name":["a"]}`, "name", intake.RuleType, "name must be a string, not an array"},
		"object as name":              {`{"name":{"a":1}}`, "name", intake.RuleType, "name must be a string, not an object"},
		"number as NAME":              {`{"name":"a","NAME":1}`, "name", intake.RuleType, "name must be a string, not a number"},
		"number before a good name":   {`{"name":1,"name":"a"}`, "name", intake.RuleType, "name must be a string, not a number"},
		"name of 513 bytes":           {`{"name":"` + repeat("a", 513) + `"}`, "name", intake.RuleNameLength, "event name has 513 bytes, limit 512"},
		"name of 257 two-byte runes":  {`{"name":"` + repeat("é", 257) + `"}`, "name", intake.RuleNameLength, "event name has 514 bytes, limit 512"},
		"reserved name":               {`{"name":"inngest/x"}`, "name", intake.RuleNameReserved, "event name is reserved for internal use: inngest/x"},
		"reserved prefix alone":       {`{"name":"inngest/"}`, "name", intake.RuleNameReserved, "reserved for internal use"},
		"reserved name in capitals":   {`{"name":"INNGEST/FUNCTION.FAILED"}`, "name", intake.RuleNameReserved, "reserved for internal use"},
		"reserved name, mixed case":   {`{"name":"InnGest/x"}`, "name", intake.RuleNameReserved, "reserved for internal use"},
		"reserved name, escaped":      {`{"name":"\u0069nngest\/x"}`, "name", intake.RuleNameReserved, "reserved for internal use: inngest/x"},
		"reserved name, dotted I":     {`{"name":"İnngest/x"}`, "name", intake.RuleNameReserved, "reserved for internal use"},
		"reserved name by a later":    {`{"name":"a","name":"inngest/x"}`, "name", intake.RuleNameReserved, "reserved for internal use"},

		"number as id":  {`{"name":"a","id":1}`, "id", intake.RuleType, "id must be a string, not a number"},
		"object as id":  {`{"name":"a","id":{}}`, "id", intake.RuleType, "id must be a string, not an object"},
		"boolean as ID": {`{"name":"a","ID":false}`, "id", intake.RuleType, "id must be a string, not a boolean"},
		"number as v":   {`{"name":"a","v":1}`, "v", intake.RuleType, "v must be a string, not a number"},
		"array as v":    {`{"name":"a","v":["1"]}`, "v", intake.RuleType, "v must be a string, not an array"},

		"string as ts":            {`{"name":"a","ts":"1795492367886"}`, "ts", intake.RuleType, "ts must be an integer, Unix milliseconds, not a string"},
		"date as ts":              {`{"name":"a","ts":"2026-11-24T00:00:00Z"}`, "ts", intake.RuleType, "ts must be an integer"},
		"fraction as ts":          {`{"name":"a","ts":1795492367886.5}`, "ts", intake.RuleType, "not 1795492367886.5"},
		"whole fraction as ts":    {`{"name":"a","ts":1795492367886.0}`, "ts", intake.RuleType, "not 1795492367886.0"},
		"exponent in ts":          {`{"name":"a","ts":1.795e12}`, "ts", intake.RuleType, "not 1.795e12"},
		"boolean as ts":           {`{"name":"a","ts":true}`, "ts", intake.RuleType, "ts must be an integer"},
		"object as ts":            {`{"name":"a","ts":{}}`, "ts", intake.RuleType, "ts must be an integer"},
		"ts beyond 64 bits":       {`{"name":"a","ts":9223372036854775808}`, "ts", intake.RuleType, "ts must be an integer"},
		"seconds as ts":           {`{"name":"a","ts":1795492368}`, "ts", intake.RuleTimestamp, "timestamp is before Jan 1, 1980"},
		"ts of 1":                 {`{"name":"a","ts":1}`, "ts", intake.RuleTimestamp, "timestamp is before Jan 1, 1980"},
		"negative ts":             {`{"name":"a","ts":-1}`, "ts", intake.RuleTimestamp, "timestamp is before Jan 1, 1980"},
		"last ms of 1979":         {`{"name":"a","ts":315532799999}`, "ts", intake.RuleTimestamp, "timestamp is before Jan 1, 1980"},
		"ts after 2100":           {`{"name":"a","ts":4102444800001}`, "ts", intake.RuleTimestamp, "timestamp is after Jan 1, 2100"},
		"bad ts by a later one":   {`{"name":"a","ts":1795492367886,"TS":1}`, "ts", intake.RuleTimestamp, "timestamp is before Jan 1, 1980"},
		"good ts, later a string": {`{"name":"a","ts":1795492367886,"ts":""}`, "ts", intake.RuleType, "ts must be an integer"},

		"array as data":                 {`{"name":"a","data":[1]}`, "data", intake.RuleType, "data must be an object, not an array"},
		"string as data":                {`{"name":"a","data":"{}"}`, "data", intake.RuleType, "data must be an object, not a string"},
		"number as data":                {`{"name":"a","data":3}`, "data", intake.RuleType, "data must be an object, not a number"},
		"boolean as data":               {`{"name":"a","data":false}`, "data", intake.RuleType, "data must be an object, not a boolean"},
		"array as Data after an object": {`{"name":"a","data":{},"Data":[]}`, "data", intake.RuleType, "data must be an object, not an array"},
		"huge number in data":           {`{"name":"a","data":{"x":1e400}}`, "data", intake.RuleNumber, "number 1e400 at byte"},
		"huge number deep in data":      {`{"name":"a","data":{"x":[{"y":-1e309}]}}`, "data", intake.RuleNumber, "does not fit a 64-bit float"},
		"310 digits in data":            {`{"name":"a","data":{"x":` + repeat("9", 310) + `}}`, "data", intake.RuleNumber, "does not fit a 64-bit float"},
		"array as user":                 {`{"name":"a","user":[]}`, "user", intake.RuleType, "user must be an object, not an array"},
		"string as user":                {`{"name":"a","user":"u"}`, "user", intake.RuleType, "user must be an object, not a string"},
		"huge number in user":           {`{"name":"a","user":{"x":1e999}}`, "user", intake.RuleNumber, "does not fit a 64-bit float"},

		"array as meta":              {`{"name":"a","meta":[]}`, "meta", intake.RuleType, "meta must be an object, not an array"},
		"string as meta":             {`{"name":"a","meta":"x"}`, "meta", intake.RuleType, "meta must be an object, not a string"},
		"array as sessions":          {`{"name":"a","meta":{"sessions":[]}}`, "meta.sessions", intake.RuleType, "must be an object, not an array"},
		"number as sessions":         {`{"name":"a","meta":{"sessions":1}}`, "meta.sessions", intake.RuleType, "must be an object, not a number"},
		"boolean session":            {`{"name":"a","meta":{"sessions":{"s":true}}}`, "meta.sessions", intake.RuleType, `"s" must be a string, number, or null`},
		"object session":             {`{"name":"a","meta":{"sessions":{"s":{}}}}`, "meta.sessions", intake.RuleType, `"s" must be a string, number, or null`},
		"array session":              {`{"name":"a","meta":{"sessions":{"s":["1"]}}}`, "meta.sessions", intake.RuleType, `"s" must be a string, number, or null`},
		"six sessions":               {`{"name":"a","meta":{"sessions":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}}}`, "meta.sessions", intake.RuleSessions, "event sessions can include at most 5 entries"},
		"session without key":        {`{"name":"a","meta":{"sessions":{"":"1"}}}`, "meta.sessions", intake.RuleSessions, "event session keys cannot be empty"},
		"session without id":         {`{"name":"a","meta":{"sessions":{"s":""}}}`, "meta.sessions", intake.RuleSessions, `event session "s" cannot have an empty ID`},
		"session key of 129 bytes":   {`{"name":"a","meta":{"sessions":{"` + repeat("k", 129) + `":"1"}}}`, "meta.sessions", intake.RuleSessions, "exceeds 128 bytes"},
		"session id of 513 bytes":    {`{"name":"a","meta":{"sessions":{"s":"` + repeat("i", 513) + `"}}}`, "meta.sessions", intake.RuleSessions, `event session "s" exceeds 512 bytes`},
		"session number of 513":      {`{"name":"a","meta":{"sessions":{"s":` + repeat("1", 513) + `}}}`, "meta.sessions", intake.RuleSessions, `event session "s" exceeds 512 bytes`},
		"array as propagated":        {`{"name":"a","meta":{"propagated_sessions":[]}}`, "meta.propagated_sessions", intake.RuleType, "must be an object, not an array"},
		"null propagated session":    {`{"name":"a","meta":{"propagated_sessions":{"s":null}}}`, "meta.propagated_sessions", intake.RuleType, "must be a string or number, not null"},
		"boolean propagated session": {`{"name":"a","meta":{"propagated_sessions":{"s":false}}}`, "meta.propagated_sessions", intake.RuleType, `"s" must be a string, number`},
		"empty propagated id":        {`{"name":"a","meta":{"propagated_sessions":{"s":""}}}`, "meta.sessions", intake.RuleSessions, `event session "s" cannot have an empty ID`},

		"event of 3 MiB and a byte": {`{"name":"a","data":{"x":"` + repeat("x", 3<<20-27) + `"}}`, "", intake.RuleEventSize, "Event is over the max size: Max 3145728 bytes / Size 3145729 bytes"},

		"half a literal":             {`{"name":"a","data":{"x":tru}}`, "", intake.RuleSyntax, "invalid character '}' in literal true"},
		"NaN":                        {`{"name":"a","data":{"x":NaN}}`, "", intake.RuleSyntax, "invalid character 'N' looking for beginning of value"},
		"undefined":                  {`{"name":"a","data":{"x":undefined}}`, "", intake.RuleSyntax, "invalid character 'u' looking for beginning of value"},
		"leading zero":               {`{"name":"a","data":{"x":01}}`, "", intake.RuleSyntax, "invalid character '1' after object key:value pair"},
		"number without digits":      {`{"name":"a","data":{"x":-}}`, "", intake.RuleSyntax, "in numeric literal"},
		"number ending in a point":   {`{"name":"a","data":{"x":1.}}`, "", intake.RuleSyntax, "after decimal point"},
		"number without an exponent": {`{"name":"a","data":{"x":1e}}`, "", intake.RuleSyntax, "in exponent"},
		"plus sign":                  {`{"name":"a","data":{"x":+1}}`, "", intake.RuleSyntax, "invalid character '+'"},
		"hex number":                 {`{"name":"a","data":{"x":0x10}}`, "", intake.RuleSyntax, "invalid character 'x'"},
		"single quotes":              {`{'name':'a'}`, "", intake.RuleSyntax, `invalid character '\'' looking for beginning of object key string`},
		"bare name":                  {`{name:"a"}`, "", intake.RuleSyntax, "invalid character 'n' looking for beginning of object key string"},
		"comma at the end":           {`{"name":"a",}`, "", intake.RuleSyntax, "invalid character '}' looking for beginning of object key string"},
		"comma at the end of data":   {`{"name":"a","data":{"x":[1,]}}`, "", intake.RuleSyntax, "invalid character ']' looking for beginning of value"},
		"no colon":                   {`{"name" "a"}`, "", intake.RuleSyntax, `invalid character '"' after object key`},
		"no comma":                   {`{"name":"a" "id":"b"}`, "", intake.RuleSyntax, "after object key:value pair"},
		"wrong bracket":              {`{"name":"a","data":{"x":[1}}}`, "", intake.RuleSyntax, "after array element"},
		"comment":                    {`{"name":"a"/*b*/}`, "", intake.RuleSyntax, "invalid character '/'"},
		"newline in a string":        {"{\"name\":\"a\nb\"}", "", intake.RuleSyntax, "invalid character 0x0a in string literal"},
		"zero byte in a string":      {"{\"name\":\"a\x00\"}", "", intake.RuleSyntax, "invalid character 0x00 in string literal"},
		"unknown escape":             {`{"name":"\x41"}`, "", intake.RuleSyntax, "invalid character 'x' in string escape code"},
		"short unicode escape":       {`{"name":"\u12"}`, "", intake.RuleSyntax, "hexadecimal character escape"},
		"vertical tab between":       {"{\"name\":\v\"a\"}", "", intake.RuleSyntax, "invalid character 0x0b"},
		"10,001 levels":              {`{"name":"a","data":{"x":` + repeat("[", 9_999) + repeat("]", 9_999) + `}}`, "", intake.RuleSyntax, "values nest deeper than 10000 levels"},
	}
}

func TestBadInputs_areRefusedWhereverTheyStand(t *testing.T) {
	r := newReader(t)
	const good = `{"name":"good","data":{}}`
	for name, c := range badEvents() {
		t.Run(name, func(t *testing.T) {
			for _, place := range []struct {
				index       int
				contentType string
				body        string
			}{
				{0, "application/json", c.text},
				{0, "", "\n" + c.text + "\n"},
				{0, "application/x-www-form-urlencoded", c.text},
				{0, "application/json", "[" + c.text + "]"},
				{1, "application/json", "[" + good + " , " + c.text + "," + good + "]"},
				{2, "application/x-ndjson", good + "\n" + good + "\n" + c.text + "\n" + good + "\n"},
			} {
				err := wantError(t, r, place.contentType, place.body)
				if err.Index != place.index || err.Field != c.field || err.Rule != c.rule || err.Status != 400 || !strings.Contains(err.Message, c.says) {
					t.Errorf("Read(%q, %.100q) = %+v, want index %d, field %q, rule %s, status 400 and a message with %q",
						place.contentType, place.body, *err, place.index, c.field, c.rule, c.says)
				}
				if events, err := serverReads([]byte(place.body)); err == nil && c.rule != intake.RuleNameLength {
					t.Errorf("the server takes %d events of %.100q", len(events), place.body)
				}
			}
		})
	}
}

func wantError(t *testing.T, r *intake.Reader, contentType, body string) *intake.Error {
	t.Helper()
	events, err := r.Read(contentType, []byte(body))
	var e *intake.Error
	if !errors.As(err, &e) || events != nil {
		t.Fatalf("Read(%q, %.100q) = %d events, %v, want an error", contentType, body, len(events), err)
	}
	checkError(t, []byte(body), err)
	return e
}

// badBodies are refused as a whole.
func badBodies() map[string]struct {
	contentType, body string
	index, status     int
	rule              intake.Rule
	says              string
} {
	const json = "application/json"
	return map[string]struct {
		contentType, body string
		index, status     int
		rule              intake.Rule
		says              string
	}{
		"null":                    {json, `null`, -1, 400, intake.RuleBodyType, "Request body must contain an event object or an array of event objects"},
		"number":                  {json, `1`, -1, 400, intake.RuleBodyType, "Request body must contain"},
		"string":                  {json, `"{}"`, -1, 400, intake.RuleBodyType, "Request body must contain"},
		"boolean":                 {json, `true`, -1, 400, intake.RuleBodyType, "Request body must contain"},
		"text":                    {"text/plain", `hello`, -1, 400, intake.RuleBodyType, "Request body must contain"},
		"byte order mark":         {json, "\ufeff{\"name\":\"a\"}", -1, 400, intake.RuleBodyType, "Request body must contain"},
		"closing brace":           {json, `}`, -1, 400, intake.RuleBodyType, "Request body must contain"},
		"gzip that does not say":  {json, "\x1f\x8b\x08\x00", -1, 400, intake.RuleBodyType, "Request body must contain"},
		"UTF-16":                  {json, "{\x00\"\x00n\x00", 0, 400, intake.RuleSyntax, "invalid character 0x00"},
		"form":                    {"application/x-www-form-urlencoded", `name=x%2Fnone&a=1`, -1, 400, intake.RuleForm, "a form is no event"},
		"form in capitals":        {"Application/X-WWW-Form-Urlencoded; charset=utf-8", `name=x`, -1, 400, intake.RuleForm, "a form is no event"},
		"multipart form":          {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b--\r\n", -1, 400, intake.RuleForm, "a form is no event"},
		"cut object":              {json, `{"name":"a"`, 0, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"cut string":              {json, `{"name":"a`, 0, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"cut escape":              {json, `{"name":"a\`, 0, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"cut literal":             {json, `{"name":"a","data":nul`, 0, 400, intake.RuleSyntax, "unexpected end of JSON input in literal null"},
		"cut array element":       {json, `[{"name":"a"},{"na`, 1, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"cut after a comma":       {json, `[{"name":"a"},`, 1, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"bytes after an object":   {json, `{"name":"a"}garbage`, 1, 400, intake.RuleSyntax, "invalid character 'g' after top-level value"},
		"comma after an object":   {json, `{"name":"a"},{"name":"b"}`, 1, 400, intake.RuleSyntax, "invalid character ',' after top-level value"},
		"bracket after an object": {json, `{"name":"a"}]`, 1, 400, intake.RuleSyntax, "invalid character ']' after top-level value"},
		"array after an object":   {json, `{"name":"a"}[{"name":"b"}]`, 1, 400, intake.RuleSyntax, "invalid character '[' after top-level value"},
		"two commas":              {json, `[{"name":"a"},,{"name":"b"}]`, 1, 400, intake.RuleSyntax, "invalid character ','"},
		"comma before the end":    {json, `[{"name":"a"},]`, 1, 400, intake.RuleSyntax, "invalid character ']'"},
		"comma at the beginning":  {json, `[,{"name":"a"}]`, 0, 400, intake.RuleSyntax, "invalid character ','"},
		"no comma":                {json, `[{"name":"a"}{"name":"b"}]`, 1, 400, intake.RuleSyntax, "after array element"},
		"null element":            {json, `[{"name":"a"},null]`, 1, 400, intake.RuleType, "an event must be an object, not null"},
		"number element":          {json, `[1]`, 0, 400, intake.RuleType, "an event must be an object, not a number"},
		"string element":          {json, `["a"]`, 0, 400, intake.RuleType, "an event must be an object, not a string"},
		"array in an array":       {json, `[[{"name":"a"}]]`, 0, 400, intake.RuleType, "an event must be an object, not an array"},
		"5,001 events":            {json, "[" + repeat(`{"name":"a"},`, 5000) + `{"name":"a"}]`, 5000, 400, intake.RuleEventCount, "Cannot have more than 5000 events in a batch"},
		"5,001 lines":             {"application/x-ndjson", repeat("{\"name\":\"a\"}\n", 5001), 5000, 400, intake.RuleEventCount, "Cannot have more than 5000 events in a batch"},
		"line of text":            {"application/x-ndjson", "{\"name\":\"a\"}\nhello\n", 1, 400, intake.RuleSyntax, "invalid character 'h' looking for an event object"},
		"line of a number":        {"application/jsonl", "1\n", 0, 400, intake.RuleSyntax, "invalid character '1' looking for an event object"},
		"cut line":                {"application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":\n{\"name\":\"b\"}\n", 1, 400, intake.RuleType, "name must be a string, not an object"},
		"array line cut":          {"application/x-ndjson", `[{"name":"a"}`, 1, 400, intake.RuleSyntax, "unexpected end of JSON input"},
		"bytes after array line":  {"application/x-ndjson", `[{"name":"a"}]garbage`, 1, 400, intake.RuleSyntax, "invalid character 'g'"},
		"over 8 MiB":              {json, repeat(" ", 8<<20+1), -1, 413, intake.RuleBodySize, "body has 8388609 bytes, limit 8388608"},
	}
}

func TestBadInputs_areRefusedAsWholeBodies(t *testing.T) {
	r := newReader(t)
	for name, c := range badBodies() {
		t.Run(name, func(t *testing.T) {
			err := wantError(t, r, c.contentType, c.body)
			if err.Index != c.index || err.Rule != c.rule || err.Status != c.status || !strings.Contains(err.Message, c.says) {
				t.Errorf("Read(%q, %.100q) = %+v, want index %d, rule %s, status %d and a message with %q", c.contentType, c.body, *err, c.index, c.rule, c.status, c.says)
			}
		})
	}
}

func TestBadInputs_areAtLeastAHundred(t *testing.T) {
	if n := len(badEvents()) + len(badBodies()); n < 100 {
		t.Errorf("the tables hold %d bad inputs, want 100", n)
	}
}

func TestError_namesIndexFieldAndRule(t *testing.T) {
	for want, e := range map[string]intake.Error{
		"too long (rule body_size)":              {Index: -1, Rule: intake.RuleBodySize, Message: "too long"},
		"no JSON (event 7, rule syntax)":         {Index: 7, Rule: intake.RuleSyntax, Message: "no JSON"},
		"is empty (event 0, field name, rule x)": {Index: 0, Field: "name", Rule: "x", Message: "is empty"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
}

func TestNew_refusesLimitsThatAreMissingOrWiderThanTheServers(t *testing.T) {
	good := intake.ServerLimits(1 << 20)
	if _, err := intake.New(good); err != nil {
		t.Errorf("New(the server's limits) = %v", err)
	}
	for name, spoil := range map[string]func(*intake.Limits){
		"BodyBytes":     func(l *intake.Limits) { l.BodyBytes = 0 },
		"EventBytes":    func(l *intake.Limits) { l.EventBytes++ },
		"Events":        func(l *intake.Limits) { l.Events = 0 },
		"NameLen":       func(l *intake.Limits) { l.NameLen = 513 },
		"Sessions":      func(l *intake.Limits) { l.Sessions = 6 },
		"SessionKeyLen": func(l *intake.Limits) { l.SessionKeyLen = -1 },
		"SessionIDLen":  func(l *intake.Limits) { l.SessionIDLen = 513 },
	} {
		l := good
		spoil(&l)
		if _, err := intake.New(l); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New with a bad %s = %v, want an error that names it", name, err)
		}
	}
}

func TestRead_keepsToLowerLimits(t *testing.T) {
	limits := intake.Limits{BodyBytes: 200, EventBytes: 100, Events: 2, NameLen: 5, Sessions: 1, SessionKeyLen: 2, SessionIDLen: 3}
	r, err := intake.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	fits := `{"name":"12345","meta":{"sessions":{"ab":"123"},"propagated_sessions":{"c":"1","d":"2"}}}`
	if events, err := r.Read("", []byte(fits)); err != nil || len(events) != 1 {
		t.Errorf("Read(%s) = %d events, %v", fits, len(events), err)
	}
	for body, rule := range map[string]intake.Rule{
		`{"name":"123456"}`: intake.RuleNameLength,
		`{"name":"a","meta":{"sessions":{"a":"1","b":"2"}}}`:   intake.RuleSessions,
		`{"name":"a","meta":{"sessions":{"abc":"1"}}}`:         intake.RuleSessions,
		`{"name":"a","meta":{"sessions":{"a":"1234"}}}`:        intake.RuleSessions,
		`[{"name":"a"},{"name":"a"},{"name":"a"}]`:             intake.RuleEventCount,
		fmt.Sprintf(`{"name":"a","x":"%s"}`, repeat("x", 90)):  intake.RuleEventSize,
		fmt.Sprintf(`{"name":"a","x":"%s"}`, repeat("x", 200)): intake.RuleBodySize,
	} {
		if err := wantError(t, r, "", body); err.Rule != rule {
			t.Errorf("Read(%s): %v, want rule %s", body, err, rule)
		}
	}
}
