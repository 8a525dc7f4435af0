package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxStdin bounds what commands read from standard input: as much as the
// largest body that the gateway itself takes.
const maxStdin = 8 << 20

func readBody(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxStdin+1))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if len(b) > maxStdin {
		return nil, fmt.Errorf("standard input: more than %d bytes", maxStdin)
	}
	return b, nil
}

// jsonObject returns a JSON object: the text, or what standard input holds for
// "-".
func (e env) jsonObject(text string) (json.RawMessage, error) {
	b := []byte(text)
	if text == "-" {
		var err error
		if b, err = readBody(e.stdin); err != nil {
			return nil, err
		}
	}
	b = bytes.TrimSpace(b)
	switch err := json.Unmarshal(b, new(json.RawMessage)); {
	case err != nil:
		return nil, err
	case b[0] != '{':
		return nil, errors.New("it is another JSON value")
	}
	return b, nil
}
