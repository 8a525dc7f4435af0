package deliver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestReadAnswer_readsTheRecordings(t *testing.T) {
	for number, want := range map[int]answer{
		4:   {status: 200, ours: true, taken: 1},
		16:  {status: 200, ours: true, taken: 2},
		111: {status: 400, ours: true, message: "event name is reserved for internal use: inngest/x"},
		115: {status: 400, ours: true, taken: 1, message: "json: cannot unmarshal number into Go struct field raw.data of type map[string]interface {}"},
		118: {status: 200, ours: true},
		119: {status: 200, ours: true},
		121: {status: 401, ours: true, message: "Event key not found"},
		122: {status: 200, ours: true, taken: 2},
		123: {status: 200, ours: true, taken: 2},
	} {
		e := recorded.One(t, number)
		s, err := inngest.ParseSeed(e.Request.Get(inngest.HeaderEventIDSeed))
		got := readAnswer(e.Response.Status, http.Header{}, []byte(e.Response.Body), s, time.Now())
		if err != nil { // it was sent without one: the ids are the server's own
			got.ids = nil
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); d != "" {
			t.Errorf("recording %d (-want +got):\n%s", number, d)
		}
	}
}

// What stands between the gateway and Inngest answers too, and often in JSON.
func TestReadAnswer_knowsInngestsOwnWord(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		text   string
		ours   bool
	}{
		"refused event":                   {400, `{"ids":[""],"status":400,"error":"no"}`, true},
		"refused event after others":      {400, `{"ids":["` + seed.ID(1) + `"],"status":400,"error":"no"}`, true},
		"too large, by Inngest":           {413, `{"ids":[""],"status":413,"error":"no"}`, true},
		"refused key":                     {401, "{\"status\":401,\"message\":\"\",\"error\":\"Event key not found\"}\n", true},
		"forbidden key":                   {403, `{"status":403,"error":"no"}`, true},
		"an error without ids":            {400, `{"error":"Bad Request"}`, false},
		"an error with its status":        {400, `{"status":400,"error":"Bad Request"}`, false},
		"no ids":                          {400, `{"ids":[],"status":400,"error":"no"}`, false},
		"ids that are none":               {400, `{"ids":null,"error":"no"}`, false},
		"ids of another kind":             {400, `{"ids":[7],"error":"no"}`, false},
		"a problem of a firewall":         {403, `{"type":"about:blank","title":"Forbidden","status":403}`, false},
		"an error of a firewall":          {403, `{"error":"request blocked","id":"af3"}`, false},
		"an error of a proxy for a login": {401, `{"error":"unauthorized"}`, false},
		"a key's status on another":       {403, `{"status":401,"error":"no"}`, false},
		"a page":                          {403, `<html><h1>Access Denied</h1></html>`, false},
		"a page for size":                 {413, `<html>413 Request Entity Too Large</html>`, false},
		"a health answer":                 {200, `{"status":200,"message":"OK"}`, false},
		"nothing":                         {400, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readAnswer(c.status, http.Header{}, []byte(c.text), seed, time.Now()); got.ours != c.ours {
				t.Errorf("readAnswer(%d, %s) = %+v, want ours %v", c.status, c.text, got, c.ours)
			}
		})
	}
}

func TestRetryAfter_readsWhatServersWrite(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"1":                             time.Second,
		"120":                           2 * time.Minute,
		"0":                             0,
		"-5":                            0,
		"2.5":                           0,
		"soon":                          0,
		"99999":                         time.Hour,
		"99999999999999999999":          0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"2026-01-02T03:04:15Z":          10 * time.Second,
		"2027-01-02T03:04:15Z":          time.Hour,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestPlain_makesOneShortLine(t *testing.T) {
	for text, want := range map[string]string{
		"<html>\r\n  <b>no</b>\x00\x7f</html>": "<html> <b>no</b> </html>",
		"bad \xff\xfe bytes":                   "bad bytes",
		strings.Repeat("ä", 400):               strings.Repeat("ä", maxMessageBytes/2) + "…",
	} {
		if got := plain([]byte(text)); got != want {
			t.Errorf("plain(%q) = %q, want %q", text, got, want)
		}
	}
}

// The quick way through an answer must see what encoding/json sees.
func FuzzReadAnswer(f *testing.F) {
	ids := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, `"`+seed.ID(i+1)+`"`)
		}
		return strings.Join(all, ",")
	}
	for _, text := range []string{
		`{"ids":[` + ids(3) + `],"status":200}`, `{"ids":[` + ids(2) + `],"status":400,"error":"no"}`, `{"ids":[` + ids(1) + `]}`,
		`{"ids":[` + ids(2) + `,""],"ids":["x"]}`, `{"ids":[` + ids(2) + `] ,"error":null}`, `{"ids":[` + ids(1) + `],}`, `{"ids":[` + ids(1) + `]`,
		`{"ids":[""],"status":200}`, `{"ids":["other"]}`, `{"ids":null,"error":"x"}`, `{"ids":[` + ids(1) + `],"IDS":[]}`, `{"ids":7}`, `[]`, `null`, ``,
		`{"ids":[` + ids(1) + `],"error":5}`, `{"ids":[` + ids(1) + `,7]}`, `{"status":401,"message":"m","error":""}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := readAnswer(200, http.Header{}, text, seed, time.Time{})
		var b body
		want := 0
		if err := json.Unmarshal(text, &b); err == nil {
			want, _ = compare(b.IDs, seed)
			if ours := len(b.IDs) > 0; got.ours != ours {
				t.Errorf("ours is %v, want %v", got.ours, ours)
			}
		} else if got.ours {
			t.Errorf("%q is no answer: %v", text, err)
		}
		if got.taken != want {
			t.Errorf("%d taken, want %d", got.taken, want)
		}
	})
}

// What is cut must be the events, whatever is in them.
func FuzzCut(f *testing.F) {
	f.Add([]byte(`[{"a":"]}\\\"[{"},{},{"b":[{"c":[]}]}]`))
	f.Add([]byte(` [ {"a":1} , {"b":"é"} ] `))
	f.Add([]byte(`[{"a":"x\\"},{"b":"\\\\\""}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var events []json.RawMessage
		if json.Unmarshal(text, &events) != nil || len(events) == 0 {
			return
		}
		for _, e := range events {
			if e[0] != '{' {
				return // the gateway makes no such batch
			}
		}
		b := &Batch{Seed: seed, Body: text, Count: len(events)}
		for i, e := range events {
			p := b.Part(Range{i, i + 1})
			if p == nil || len(events) > 1 && string(p.Body) != "["+string(e)+"]" {
				t.Fatalf("event %d of %q is %v", i, text, p)
			}
		}
	})
}
