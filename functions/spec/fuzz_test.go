package spec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/spec"
)

// Whatever a backend publishes: functions that the server takes and that call
// that backend alone, or problems with words, and never a panic.
func FuzzReadManifest(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{}`, `null`, `{"functions":[{}]}`, `[{"id":"f","triggers":[{"event":"e"}],"endpoint":"/f"}]`,
		`[{"id":"f","triggers":[{"cron":"* * * * *"}],"steps":[{"id":"a","get":"/a?x=${event.data.x}"}],"onFailure":{"conversation":"/b"}}]`,
		`[{"id":"f","triggers":[{"event":"e","if":"event.data.x > 1e400"}],"concurrency":[{"limit":1e300}],"endpoint":"/f"}]`,
		`[{"id":"f","triggers":[{"event":"e"}],"concurrency":{"fn":1,"step":{"limit":2}},"endpoint":{"url":"http://b/f","headers":{"a":"b"}}}]`,
	} {
		f.Add(seed)
	}
	if text, err := json.Marshal(decoded(f, everything)); err == nil {
		f.Add(strings.ReplaceAll(string(text), "127.0.0.1:9000", "b"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, problems := spec.Reader{App: "app"}.ReadManifest([]byte(text), "http://b")
		for _, p := range problems {
			if p.Path == "" || p.Got == "" || p.Want == "" {
				t.Errorf("problem %+v lacks words", p)
			}
		}
		if problems != nil {
			return
		}
		for _, fn := range all {
			for _, origin := range fn.Origins() {
				if origin != "http://b" {
					t.Errorf("%s calls %s", fn.ID, origin)
				}
			}
			for _, one := range fn.Register("app", "http://gw/api/functions") {
				if faults := one.Check(); len(faults) > 0 {
					t.Errorf("the server would refuse %s: %v", one.ID, faults)
				}
				if _, err := json.Marshal(one); err != nil {
					t.Errorf("%s: %v", one.ID, err)
				}
			}
		}
	})
}
