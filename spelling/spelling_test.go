package spelling

import "testing"

func TestNearest_findsWhatWasMeant(t *testing.T) {
	known := []string{"memory", "body", "answer", "head", "head_timeout", "idle_timeout", "uri", "rateLimit"}
	for wrong, want := range map[string]string{
		"memroy": "memory", "Memory": "memory", "bdy": "body", "headtimeout": "head_timeout", "url": "uri",
		"answers": "answer", "timeout": "", "x": "", "": "", "rate_limit": "rateLimit", "HEAD-TIMEOUT": "head_timeout",
	} {
		if got := Nearest(wrong, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", wrong, got, want)
		}
	}
}
