package load

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestEventForm_makesOtherEventsAndSeedsEachTime(t *testing.T) {
	for name, c := range map[string]EventForm{
		"one":       {Key: "key", Array: 1, Seeds: true},
		"an array":  {Key: "key", Array: 3, Seeds: true},
		"no seeds":  {Key: "key", Array: 2},
		"a hundred": {Key: "key", Array: 100},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := c.request()
			if err != nil {
				t.Fatal(err)
			}
			seen, seeds := map[string]bool{}, map[string]bool{}
			now := time.UnixMilli(1795540000123)
			m.begin(7, now)
			for range 3 {
				m.next(now)
				head, body := m.parts()
				if c.Array == 1 {
					body = append(append([]byte("["), body...), ']')
				}
				var events []struct {
					Name string
					Data struct{ OrderID string }
				}
				if err := json.Unmarshal(body, &events); err != nil || len(events) != c.Array {
					t.Fatalf("%d events, %v:\n%s", len(events), err, body)
				}
				for _, e := range events {
					if e.Name != EventName || len(e.Data.OrderID) != runWidth || seen[e.Data.OrderID] {
						t.Errorf("event %+v", e)
					}
					seen[e.Data.OrderID] = true
				}
				_, line, ok := strings.Cut(string(head), inngest.HeaderEventIDSeed+": ")
				text, _, _ := strings.Cut(line, "\r\n")
				if ok != c.Seeds {
					t.Errorf("head:\n%s", head)
				}
				if s, err := inngest.ParseSeed(text); ok && (err != nil || s.Millis != uint64(now.UnixMilli()) || seeds[text]) {
					t.Errorf("seed %q: %v", text, err)
				}
				seeds[text] = true
			}
		})
	}
}

func TestEventForm_wantsTheIDsOfAllEvents(t *testing.T) {
	m, err := EventForm{Key: "key", Array: 2}.request()
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(`{"ids":["01M85TYKH4RS9K601Y787WZF65","01M85TYKH4RS9K601Y787WZF66"],"status":200}` + "\n"))
	for name, c := range map[string]struct {
		answer Answer
		good   bool
	}{
		"two ids": {Answer{Status: 200, Size: size}, true},
		"one id":  {Answer{Status: 200, Size: size - 29}, false},
		"refused": {Answer{Status: 503, Size: size}, false},
		"no room": {Answer{Status: 503, Refusal: []byte("memory_exhausted")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := m.check(&c.answer); (err == nil) != c.good || errors.Is(err, errNoRoom) {
				t.Errorf("check = %v", err)
			}
		})
	}
}

func TestEventForm_floodExpectsRefusalsForRoom(t *testing.T) {
	m, err := EventForm{Key: "key", Array: 2, Flood: true}.request()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer Answer
		room   bool
	}{
		"memory":     {Answer{Status: 503, Refusal: []byte("memory_exhausted")}, true},
		"spool":      {Answer{Status: 503, Refusal: []byte("spool_full")}, true},
		"other code": {Answer{Status: 503, Refusal: []byte("spool_unavailable")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := m.check(&c.answer); err == nil || errors.Is(err, errNoRoom) != c.room {
				t.Errorf("check = %v", err)
			}
		})
	}
}
