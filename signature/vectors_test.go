package signature

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// vectors reads a file of testdata/vectors.
func vectors[V any](t *testing.T, name string) []V {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		About   string `json:"about"`
		Vectors []V    `json:"vectors"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(file.Vectors) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return file.Vectors
}

func TestVectors_sign(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Key, Body, Header string
		Time                    int64
	}](t, "sign") {
		if got := Sign(mustKey(t, v.Key), []byte(v.Body), time.Unix(v.Time, 0)); got != v.Header {
			t.Errorf("%s: Sign = %s, want %s", v.Name, got, v.Header)
		}
	}
}

func TestVectors_verify(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Want, Kind, Header, Body string
		Keys                           []string
		Now                            int64
	}](t, "verify") {
		var keys []Key
		for _, text := range v.Keys {
			keys = append(keys, mustKey(t, text))
		}
		verifier := verifierAt(t, time.Unix(v.Now, 0), keys...)
		verify := verifier.Verify
		if v.Kind == "answer" {
			verify = verifier.VerifyAnswer
		}
		got := string(reason(t, verify([]byte(v.Header), []byte(v.Body))))
		if got == "" {
			got = "ok"
		}
		if got != v.Want {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Want)
		}
	}
}

func TestVectors_canonical(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Body, Canonical string
		Refused               bool
	}](t, "canonical") {
		got, err := Canonical([]byte(v.Body))
		if (err != nil) != v.Refused || string(got) != v.Canonical {
			t.Errorf("%s: Canonical = %s, %v, want %s", v.Name, got, err, v.Canonical)
		}
	}
}

func TestVectors_bearer(t *testing.T) {
	for _, v := range vectors[struct {
		Name, Key, Token string
		Refused          bool
	}](t, "bearer") {
		key, err := ParseKey(v.Key)
		if (err != nil) != v.Refused || BearerToken(key) != v.Token {
			t.Errorf("%s: BearerToken = %s, %v, want %s", v.Name, BearerToken(key), err, v.Token)
		}
	}
}
