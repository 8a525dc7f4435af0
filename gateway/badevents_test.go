package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A badRequest is one that must come back with a 4xx that names what is wrong.
type badRequest struct {
	body   string
	says   string      // part of the answer's error
	status int         // 0: 400
	header http.Header // nil: JSON
	path   string      // "": the event API with the app's key
}

// named is an event with more members.
func named(members string) string { return `{"name":"a",` + members + `}` }

func fields(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func badEvents() map[string]badRequest {
	long := strings.Repeat
	return map[string]badRequest{
		"empty object":           {body: `{}`, says: "event name is empty"},
		"no name":                {body: `{"data":{}}`, says: "event name is empty"},
		"empty name":             {body: `{"name":""}`, says: "event name is empty"},
		"null name":              {body: `{"name":null}`, says: "event name is empty"},
		"name in data only":      {body: `{"data":{"name":"a"}}`, says: "event name is empty"},
		"foreign member":         {body: `{"event":"a"}`, says: "event name is empty"},
		"number as name":         {body: `{"name":1}`, says: "name must be a string, not a number"},
		"boolean as name":        {body: `{"name":true}`, says: "name must be a string, not a boolean"},
		"array as name":          {body: `{"name":["a"]}`, says: "name must be a string, not an array"},
		"object as name":         {body: `{"name":{}}`, says: "name must be a string, not an object"},
		"second name is bad":     {body: named(`"NAME":1`), says: "name must be a string"},
		"long name":              {body: `{"name":"` + long("a", 513) + `"}`, says: "event name has 513 bytes, limit 512"},
		"long name, two bytes":   {body: `{"name":"` + long("é", 257) + `"}`, says: "event name has 514 bytes, limit 512"},
		"reserved name":          {body: `{"name":"inngest/x"}`, says: "reserved for internal use: inngest/x"},
		"reserved, capitals":     {body: `{"name":"INNGEST/X"}`, says: "reserved for internal use"},
		"reserved, escaped":      {body: `{"name":"\u0069nngest\/x"}`, says: "reserved for internal use: inngest/x"},
		"reserved, dotted I":     {body: `{"name":"İnngest/x"}`, says: "reserved for internal use"},
		"number as id":           {body: named(`"id":1`), says: "id must be a string, not a number"},
		"object as id":           {body: named(`"id":{}`), says: "id must be a string, not an object"},
		"array as id":            {body: named(`"id":[]`), says: "id must be a string, not an array"},
		"number as v":            {body: named(`"v":1`), says: "v must be a string, not a number"},
		"boolean as v":           {body: named(`"v":true`), says: "v must be a string, not a boolean"},
		"string as ts":           {body: named(`"ts":"1795492367886"`), says: "ts must be an integer, Unix milliseconds, not a string"},
		"date as ts":             {body: named(`"ts":"2026-11-24T00:00:00Z"`), says: "ts must be an integer"},
		"fraction as ts":         {body: named(`"ts":1795492367886.5`), says: "not 1795492367886.5"},
		"exponent in ts":         {body: named(`"ts":1.795e12`), says: "not 1.795e12"},
		"boolean as ts":          {body: named(`"ts":true`), says: "ts must be an integer"},
		"array as ts":            {body: named(`"ts":[1]`), says: "ts must be an integer"},
		"ts beyond 64 bits":      {body: named(`"ts":9223372036854775808`), says: "ts must be an integer"},
		"seconds as ts":          {body: named(`"ts":1795492368`), says: "timestamp is before Jan 1, 1980"},
		"negative ts":            {body: named(`"ts":-1`), says: "timestamp is before Jan 1, 1980"},
		"last ms of 1979":        {body: named(`"ts":315532799999`), says: "timestamp is before Jan 1, 1980"},
		"first ms after 2100":    {body: named(`"ts":4102444800001`), says: "timestamp is after Jan 1, 2100"},
		"second ts is bad":       {body: named(`"ts":1795492367886,"Ts":1`), says: "timestamp is before"},
		"array as data":          {body: named(`"data":[1]`), says: "data must be an object, not an array"},
		"string as data":         {body: named(`"data":"{}"`), says: "data must be an object, not a string"},
		"number as data":         {body: named(`"data":3`), says: "data must be an object, not a number"},
		"boolean as data":        {body: named(`"data":false`), says: "data must be an object, not a boolean"},
		"huge number in data":    {body: named(`"data":{"x":1e400}`), says: "number 1e400 at byte"},
		"huge number, deep":      {body: named(`"data":{"x":[{"y":-1e309}]}`), says: "does not fit a 64-bit float"},
		"310 digits":             {body: named(`"data":{"x":` + long("9", 310) + `}`), says: "does not fit a 64-bit float"},
		"array as user":          {body: named(`"user":[]`), says: "user must be an object, not an array"},
		"string as user":         {body: named(`"user":"u"`), says: "user must be an object, not a string"},
		"huge number in user":    {body: named(`"user":{"x":1e999}`), says: "does not fit a 64-bit float"},
		"array as meta":          {body: named(`"meta":[]`), says: "meta must be an object, not an array"},
		"string as meta":         {body: named(`"meta":"x"`), says: "meta must be an object, not a string"},
		"array as sessions":      {body: named(`"meta":{"sessions":[]}`), says: "field meta.sessions"},
		"boolean session":        {body: named(`"meta":{"sessions":{"s":true}}`), says: `"s" must be a string, number, or null`},
		"object session":         {body: named(`"meta":{"sessions":{"s":{}}}`), says: `"s" must be a string, number, or null`},
		"six sessions":           {body: named(`"meta":{"sessions":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}}`), says: "at most 5 entries"},
		"session without a key":  {body: named(`"meta":{"sessions":{"":"1"}}`), says: "session keys cannot be empty"},
		"session without an id":  {body: named(`"meta":{"sessions":{"s":""}}`), says: "cannot have an empty ID"},
		"long session key":       {body: named(`"meta":{"sessions":{"` + long("k", 129) + `":"1"}}`), says: "exceeds 128 bytes"},
		"long session id":        {body: named(`"meta":{"sessions":{"s":"` + long("i", 513) + `"}}`), says: "exceeds 512 bytes"},
		"array as propagated":    {body: named(`"meta":{"propagated_sessions":[]}`), says: "field meta.propagated_sessions"},
		"null propagated":        {body: named(`"meta":{"propagated_sessions":{"s":null}}`), says: "not null"},
		"an event too large":     {body: named(`"data":{"x":"` + long("x", 3<<20) + `"}`), says: "Event is over the max size: Max 3145728 bytes"},
		"half a literal":         {body: named(`"data":{"x":tru}`), says: "in literal true"},
		"NaN":                    {body: named(`"data":{"x":NaN}`), says: "invalid character 'N'"},
		"undefined":              {body: named(`"data":{"x":undefined}`), says: "invalid character 'u'"},
		"leading zero":           {body: named(`"data":{"x":01}`), says: "after object key:value pair"},
		"minus alone":            {body: named(`"data":{"x":-}`), says: "in numeric literal"},
		"point alone":            {body: named(`"data":{"x":1.}`), says: "after decimal point"},
		"exponent alone":         {body: named(`"data":{"x":1e}`), says: "in exponent"},
		"plus sign":              {body: named(`"data":{"x":+1}`), says: "invalid character '+'"},
		"hex number":             {body: named(`"data":{"x":0x10}`), says: "invalid character 'x'"},
		"single quotes":          {body: `{'name':'a'}`, says: "looking for beginning of object key string"},
		"bare name":              {body: `{name:"a"}`, says: "invalid character 'n'"},
		"comma at the end":       {body: `{"name":"a",}`, says: "invalid character '}'"},
		"comma in an array":      {body: named(`"data":{"x":[1,]}`), says: "invalid character ']'"},
		"no colon":               {body: `{"name" "a"}`, says: "after object key"},
		"no comma":               {body: `{"name":"a" "id":"b"}`, says: "after object key:value pair"},
		"wrong bracket":          {body: named(`"data":{"x":[1}}`), says: "after array element"},
		"comment":                {body: `{"name":"a"/*b*/}`, says: "invalid character '/'"},
		"line break in a text":   {body: "{\"name\":\"a\nb\"}", says: "in string literal"},
		"zero byte in a text":    {body: "{\"name\":\"a\x00\"}", says: "invalid character 0x00"},
		"unknown escape":         {body: `{"name":"\x41"}`, says: "in string escape code"},
		"short unicode escape":   {body: `{"name":"\u12"}`, says: "hexadecimal character escape"},
		"vertical tab":           {body: "{\"name\":\v\"a\"}", says: "invalid character 0x0b"},
		"too deep":               {body: named(`"data":{"x":` + long("[", 10_000) + long("]", 10_000) + `}`), says: "deeper than 10000 levels"},
		"half an event":          {body: `{"name":"a"`, says: "unexpected end of JSON input"},
		"half a name":            {body: `{"name":"a`, says: "unexpected end of JSON input"},
		"two bodies, one bad":    {body: `{"name":"a"} x`, says: "after top-level value, at byte 13 (event 1"},
		"number as body":         {body: `1`, says: "Request body must contain an event object"},
		"string as body":         {body: `"{}"`, says: "Request body must contain"},
		"null as body":           {body: `null`, says: "Request body must contain"},
		"boolean as body":        {body: `true`, says: "Request body must contain"},
		"text as body":           {body: `hello`, says: "Request body must contain"},
		"byte order mark":        {body: "\xef\xbb\xbf" + `{"name":"a"}`, says: "Request body must contain"},
		"UTF-16":                 {body: "{\x00\"\x00n\x00", says: "invalid character 0x00"},
		"an array of numbers":    {body: `[1]`, says: "an event must be an object, not a number (event 0"},
		"an array of arrays":     {body: `[[{"name":"a"}]]`, says: "an event must be an object, not an array"},
		"null in an array":       {body: `[{"name":"a"},null]`, says: "not null (event 1"},
		"the third is bad":       {body: `[{"name":"a"},{"name":"b"},{"name":"inngest/c"},{"name":"d"}]`, says: "(event 2, field name, rule name_reserved)"},
		"half an array":          {body: `[{"name":"a"},{"name":`, says: "(event 1, rule syntax)"},
		"no comma between":       {body: `[{"name":"a"}{"name":"b"}]`, says: "after array element"},
		"comma before the end":   {body: `[{"name":"a"},]`, says: "(event 1"},
		"5,001 events":           {body: `[` + long(`{"name":"a"},`, 5000) + `{"name":"a"}]`, says: "Cannot have more than 5000 events in a batch"},
		"a form":                 {body: `name=a&data=b`, says: "a form is no event", header: fields("Content-Type", "application/x-www-form-urlencoded")},
		"a bad line":             {body: "{\"name\":\"a\"}\nx\n", says: "(event 1, rule syntax)", header: fields("Content-Type", "application/x-ndjson")},
		"a bad event in a line":  {body: "{\"name\":\"a\"}\n{\"name\":\"\"}\n", says: "event name is empty (event 1", header: fields("Content-Type", "application/x-ndjson")},
		"an unknown coding":      {body: `{"name":"a"}`, says: `content coding "deflate" is not known`, status: 415, header: fields("Content-Encoding", "deflate")},
		"two codings":            {body: `{"name":"a"}`, says: "is not known", status: 415, header: fields("Content-Encoding", "gzip, br")},
		"no gzip":                {body: `{"name":"a"}`, says: "body is no valid gzip", header: fields("Content-Encoding", "gzip")},
		"no zstd":                {body: `{"name":"a"}`, says: "body is no valid zstd", header: fields("Content-Encoding", "zstd")},
		"no brotli":              {body: `{"name":"a"}`, says: "body is no valid br", header: fields("Content-Encoding", "br")},
		"half of a gzip":         {body: gzipped(`{"name":"a"}`)[:20], says: "body is no valid gzip", header: fields("Content-Encoding", "gzip")},
		"bad event in a gzip":    {body: gzipped(`{"name":1}`), says: "name must be a string", header: fields("Content-Encoding", "gzip")},
		"a bomb":                 {body: gzipped(long(" ", 20<<20)), says: "when inflated", status: 413, header: fields("Content-Encoding", "gzip")},
		"a body too large":       {body: long(" ", 9<<20), says: "larger than the gateway takes", status: 413},
		"CloudEvent without id":  {body: `{"specversion":"1.0","source":"/x","type":"t"}`, says: "CloudEvent has no id", header: fields("Content-Type", "application/cloudevents+json")},
		"CloudEvent, no type":    {body: `{"specversion":"1.0","source":"/x","id":"1"}`, says: "type", header: fields("Content-Type", "application/cloudevents+json")},
		"CloudEvent of 0.3":      {body: `{"specversion":"0.3","id":"1","source":"/x","type":"t"}`, says: `specversion "0.3" is not known`, header: fields("Content-Type", "application/cloudevents+json")},
		"CloudEvent, bad time":   {body: `{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"noon"}`, says: `time "noon"`, header: fields("Content-Type", "application/cloudevents+json")},
		"CloudEvent in base64":   {body: `{"specversion":"1.0","id":"1","source":"/x","type":"t","data_base64":"AAAA"}`, says: "data_base64", header: fields("Content-Type", "application/cloudevents+json")},
		"CloudEvent in Avro":     {body: `x`, says: "not as application/cloudevents+avro", status: 415, header: fields("Content-Type", "application/cloudevents+avro")},
		"CloudEvent, reserved":   {body: `{}`, says: "reserved for internal use", header: fields("Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/x", "Ce-Type", "inngest/x")},
		"CloudEvent of text":     {body: `hello`, says: "must be JSON, not text/plain", status: 415, header: fields("Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/x", "Ce-Type", "t", "Content-Type", "text/plain")},
		"CloudEvents, one bad":   {body: `[{"specversion":"1.0","id":"1","source":"/x","type":"t"},{}]`, says: "(event 1", header: fields("Content-Type", "application/cloudevents-batch+json")},
		"data breaks its schema": {body: `{"name":"order.created","data":{"orderId":"seven"}}`, says: "orderId"},
		"no key":                 {body: `{"name":"a"}`, says: "no event key", status: 401, path: "/e/"},
		"nobody's key":           {body: `{"name":"a"}`, says: "Event key not found", status: 401, path: "/e/nobodys-key"},
		"a path too long":        {body: `{"name":"a"}`, says: "Events are taken at /e/{key}", status: 404, path: "/e/" + recorded.EventKey + "/x"},
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

// Each is refused in words that help, none fails the gateway, and nothing of it
// reaches Inngest.
func TestEvents_badOnesAreRefusedInWords(t *testing.T) {
	bad := badEvents()
	if len(bad) < 100 {
		t.Fatalf("%d bad requests, want at least 100", len(bad))
	}
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	text := oneApp(server.url(), "http://127.0.0.1:1", `events:
  schemas: [{name: order.created, schema: '{"type":"object","properties":{"orderId":{"type":"integer"}}}'}]`)
	r := start(t, load(t, text))
	for name, c := range bad {
		path, want := c.path, c.status
		if path == "" {
			path = "/e/" + recorded.EventKey
		}
		if want == 0 {
			want = http.StatusBadRequest
		}
		a, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+path, c.header, c.body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var said struct {
			Status int
			Error  string
		}
		if err := json.Unmarshal([]byte(a.body), &said); err != nil {
			t.Errorf("%s: answer %s: %v", name, a.body, err)
		}
		if a.status != want || said.Status != want || !strings.Contains(said.Error, c.says) || a.header.Get("X-Gateway-Error") == "" {
			t.Errorf("%s: answer = %d %q %s, want %d with %q", name, a.status, a.header.Get("X-Gateway-Error"), a.body, want, c.says)
		}
	}
	if ids, a := sendEvents(t, r, `{"name":"a"}`); a.status != 200 || len(ids) != 1 {
		t.Errorf("a good event after them: %d %s", a.status, a.body)
	}
	// Whether a key is nobody's only Inngest can tell.
	if got := server.waitEvents(1); got.Arrived != 1 || got.Posts != 2 {
		t.Errorf("Inngest got %d events in %d requests, want the good one, and a request with nobody's key", got.Arrived, got.Posts)
	}
}
