package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

const signingKeyVariable = "INNGEST_SIGNING_KEY"

// signingKey reads the key that a flag names, "env:NAME" or "file:PATH", or
// the usual variable. A key itself on the command line is refused: other users
// of the machine can read it there.
func (e env) signingKey(reference string) (signature.Key, error) {
	if reference == "" {
		reference = "env:" + signingKeyVariable
	}
	text, err := e.secret(reference)
	if err != nil {
		return signature.Key{}, err
	}
	k, err := signature.ParseKey(text)
	if err != nil {
		return signature.Key{}, fmt.Errorf("%s: %w", reference, err)
	}
	return k, nil
}

// secret resolves "env:NAME" or "file:PATH".
func (e env) secret(reference string) (string, error) {
	kind, where, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		if v := e.lookup(where); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("no key: the variable %s is not set; set it, or name another place: --key env:NAME or --key file:PATH", where)
	case "file":
		b, err := os.ReadFile(where)
		if err != nil {
			return "", fmt.Errorf("no key: %w", err)
		}
		if v := strings.TrimSpace(string(b)); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("no key: the file %s is empty", where)
	default:
		return "", usageError{errors.New("--key takes env:NAME or file:PATH, never the key itself: others on this machine could read it")}
	}
}
