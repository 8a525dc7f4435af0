package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// There is no way to print a secret but Reveal, wherever it stands.
func TestSecret_isNeverPrinted(t *testing.T) {
	const text = "hunter2-hunter2"
	type holder struct {
		Exported   Secret
		unexported Secret
		list       []Secret
	}
	secret := NewSecret(text)
	h := holder{secret, secret, []Secret{secret}}
	var out bytes.Buffer
	for _, value := range []any{secret, &secret, h, &h, []any{h}, map[string]Secret{"a": secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3v"} {
			fmt.Fprintf(&out, verb, value)
		}
		fmt.Fprint(&out, value)
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("started", "config", value)
		}
		if encoded, err := json.Marshal(value); err == nil {
			out.Write(encoded)
		}
		if encoded, err := yaml.Marshal(value); err == nil {
			out.Write(encoded)
		}
	}
	printed := out.String()
	for _, shown := range []string{text, "hunter2", fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(printed, shown) {
			t.Errorf("%q is printed", shown)
		}
	}
	if !strings.Contains(printed, mask) {
		t.Error("no mask is printed")
	}
}

func TestSecret_printsNothingWhereThereIsNone(t *testing.T) {
	if got := fmt.Sprintf("%v%s%q", Secret{}, NewSecret(""), Secret{}); got != "" {
		t.Errorf("no secret prints as %q, want nothing", got)
	}
}

func TestSecret_comparesTexts(t *testing.T) {
	a, b, other := NewSecret("a"), NewSecret("a"), NewSecret("b")
	if !a.Equal(b) || a.Equal(other) || a.Equal(Secret{}) || !(Secret{}).Equal(NewSecret("")) {
		t.Error("Equal does not compare the texts")
	}
}
