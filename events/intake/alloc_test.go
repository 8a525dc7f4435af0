//go:build !race

package intake_test

import (
	"testing"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

func TestRead_allocatesTheEventsAlone(t *testing.T) {
	r := newReader(t)
	for name, c := range map[string]struct {
		body string
		most float64
	}{
		"nothing":            {"", 0},
		"one event":          {event1KiB(), 1},
		"array of 100":       {arrayOf(100, event1KiB()), 1},
		"lines":              {event1KiB() + "\n" + event1KiB(), 1},
		"sessions":           {`{"name":"a","meta":{"sessions":{"a":"1","b":null},"propagated_sessions":{"c":"3"}}}`, 1},
		"escaped names":      {arrayOf(100, `{"name":"shop\/order.created","id":"a\/1"}`), 3}, // texts of the first, then of all others
		"array of different": {`[{"name":"a"},` + arrayOf(20, event1KiB())[1:], 1},
	} {
		body := []byte(c.body)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := r.Read("application/json", body); err != nil {
				t.Fatal(err)
			}
		}); n > c.most {
			t.Errorf("Read(%s) made %v allocations, want at most %v", name, n, c.most)
		}
	}
}

func TestAppendAccepted_allocatesNothingInABuffer(t *testing.T) {
	buf, ids := make([]byte, 0, 1<<10), []string{"01M85TYKGE66PHKDRJ6RZSJYKM", "01M85TYNKEG8Y2Q5T7C34S79Y7"}
	if n := testing.AllocsPerRun(50, func() { intake.AppendAccepted(buf, ids) }); n > 0 {
		t.Errorf("AppendAccepted made %v allocations, want 0", n)
	}
}
