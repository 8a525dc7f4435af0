//go:build !race

package signature

import (
	"bytes"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestVerify_allocatesNothing(t *testing.T) {
	current, fallback := mustKey(t, otherKey), mustKey(t, recorded.SigningKey)
	body := bytes.Repeat([]byte("x"), 1024)
	header := []byte(Sign(fallback, body, at))
	v := verifierAt(t, at, current, fallback)
	if n := testing.AllocsPerRun(1000, func() {
		if err := v.Verify(header, body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Verify made %v allocations at 1 KiB, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := v.CheckHeader(header); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("CheckHeader made %v allocations, want 0", n)
	}
}

func TestAppendSign_allocatesNothing(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	body := bytes.Repeat([]byte("x"), 1024)
	room := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(1000, func() { AppendSign(room, key, body, at) }); n != 0 {
		t.Errorf("AppendSign made %v allocations at 1 KiB, want 0", n)
	}
}
