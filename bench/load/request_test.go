package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

const keyText = "signkey-prod-1234567890abcdef1234567890abcdef"

func testKey(t testing.TB) signature.Key {
	t.Helper()
	key, err := signature.ParseKey(keyText)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRequest_isOneThatTheGatewayBelieves(t *testing.T) {
	verifier, err := signature.NewVerifier(signature.Options{
		Keys: []signature.Key{testKey(t)}, Tolerance: time.Minute, MaxCanonical: 1 << 20, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Form{
		"kept connection":        {Size: 1 << 10},
		"closed, gzip, 64 KiB":   {Size: 64 << 10, Close: true, Gzip: true},
		"smallest":               {Size: MinSize(), Close: true},
		"one byte more than min": {Size: MinSize() + 1},
	} {
		t.Run(name, func(t *testing.T) {
			f.Host, f.Path, f.Key = "127.0.0.1:8480", "/api/inngest", testKey(t)
			r, err := NewRequest(f)
			if err != nil {
				t.Fatal(err)
			}
			for number := range uint64(40) {
				r.Prepare(number, time.Now())
			}
			parsed, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Clone(r.head), r.body...))))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(parsed.Body)
			if err != nil || len(body) != f.Size {
				t.Fatalf("body = %d bytes, %v, want %d", len(body), err, f.Size)
			}
			if parsed.Close != f.Close || (parsed.Header.Get("Accept-Encoding") == "gzip") != f.Gzip {
				t.Errorf("head is not of the form %+v:\n%s", f, r.head)
			}
			if err := verifier.Verify([]byte(parsed.Header.Get(inngest.HeaderSignature)), body); err != nil {
				t.Errorf("Verify = %v", err)
			}
			if form, err := signature.Canonical(body); err != nil || !bytes.Equal(form, body) {
				t.Errorf("the body is not in canonical form: %v", err)
			}
			id, ok := inngest.ScanIdentity(body)
			if !ok || id.RunID != parsed.Header.Get(inngest.HeaderRunID) || id.JobID != parsed.Header.Get(inngest.HeaderJobID) {
				t.Errorf("the body is of %+v, the head of %v", id, parsed.Header)
			}
			if n, err := Number([]byte(id.RunID)); n != 39 || err != nil {
				t.Errorf("Number(%s) = %d, %v, want 39", id.RunID, n, err)
			}
		})
	}
}

func TestNewRequest_refusesWhatCannotBe(t *testing.T) {
	for name, f := range map[string]Form{
		"too small":   {Size: MinSize() - 1, Key: testKey(t)},
		"without key": {Size: 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewRequest(f); err == nil {
				t.Errorf("NewRequest(%+v) gave no error", f)
			}
		})
	}
}
