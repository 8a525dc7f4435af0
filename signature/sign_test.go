package signature

import (
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestAppendSign_appends(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	body := []byte(`{}`)
	got := string(AppendSign([]byte("X-Inngest-Signature: "), key, body, at))
	if want := "X-Inngest-Signature: " + Sign(key, body, at); got != want {
		t.Errorf("AppendSign = %q, want %q", got, want)
	}
}

func TestSign_cutsTheTimeToSeconds(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	if got, want := Sign(key, nil, at.Add(999*time.Millisecond)), Sign(key, nil, at); got != want {
		t.Errorf("Sign = %q, want %q", got, want)
	}
}
