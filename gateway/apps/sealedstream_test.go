package apps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// unwrap reads a 201's body as the server does.
func unwrap(t testing.TB, body []byte) (status int, headers map[string]string, inner []byte) {
	t.Helper()
	var w struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	if err := json.Unmarshal(body, &w); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	var text string
	if json.Unmarshal(w.Body, &text) == nil {
		return w.Status, w.Headers, []byte(text)
	}
	return w.Status, w.Headers, w.Body
}

func TestSealWrapper_signsTheInnerBody(t *testing.T) {
	now := time.Unix(1795541512, 0)
	local := func(body string) string { return signature.Sign(mustKey(t, localText), []byte(body), now) }
	for name, c := range map[string]struct{ body, inner string }{
		"as recorded":           {string(recording(t, 103).Response.Body), `"inner"`},
		"signed by the app":     {`{"headers":{"a":"b","X-Inngest-Signature":"` + local(`{}`) + `"},"body":"{}"}`, `{}`},
		"without headers":       {`{"status":200,"body":"é"}`, `é`},
		"headers null":          {`{"headers":null,"body":"x"}`, `x`},
		"a body that is object": {`{"body": {"n":9007199254740993} ,"headers":{}}`, `{"n":9007199254740993}`},
		"without a body":        {`{}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, pairOptions(t, Resign, at(now)))
			got, err := p.SealWrapper([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			_, headers, inner := unwrap(t, got)
			if string(inner) != c.inner {
				t.Errorf("inner body %q, want %q", inner, c.inner)
			}
			if by := signedBy(t, []byte(headers["x-inngest-signature"]), inner, now); by != "real" {
				t.Errorf("%s is signed by %s, want the real key", got, by)
			}
			if strings.Count(strings.ToLower(string(got)), "x-inngest-signature") != 1 {
				t.Errorf("%s has more than one signature", got)
			}
		})
	}
}

func TestSealWrapper_refusesWhatItCannotReadInOneWay(t *testing.T) {
	now := time.Unix(1795541512, 0)
	for name, c := range map[string]struct {
		body string
		want inngest.Code
	}{
		"no JSON":               {`{"status":200`, inngest.CodeUpstreamBadAnswer},
		"no object":             {`[]`, inngest.CodeUpstreamBadAnswer},
		"two objects":           {`{} {}`, inngest.CodeUpstreamBadAnswer},
		"two bodies":            {`{"body":"a","Body":"b"}`, inngest.CodeUpstreamBadAnswer},
		"headers that are none": {`{"headers":[],"body":"a"}`, inngest.CodeUpstreamBadAnswer},
		"two signatures":        {`{"headers":{"x-inngest-signature":"a","X-Inngest-Signature":"b"},"body":"a"}`, inngest.CodeUpstreamBadAnswer},
		"a stranger's":          {`{"headers":{"x-inngest-signature":"` + signature.Sign(mustKey(t, fallbackText), []byte("a"), now) + `"},"body":"a"}`, inngest.CodeUpstreamUntrusted},
		"no signature at all":   {`{"headers":{"x-inngest-signature":7},"body":"a"}`, inngest.CodeUpstreamUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			var refusal *Error
			got, err := newPair(t, pairOptions(t, Resign, at(now))).SealWrapper([]byte(c.body))
			if !errors.As(err, &refusal) || refusal.Code != c.want {
				t.Errorf("SealWrapper = %q, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestSealStream_passesWhiteSpaceAtOnce(t *testing.T) {
	now := time.Unix(1795541512, 0)
	p := newPair(t, pairOptions(t, Strip, at(now)))
	from, app := io.Pipe()
	a := &call.Answer{Status: 201, Stream: from}
	a.Set(inngest.HeaderSignature, "t=1&s=x")
	if err := errors.Join(p.OpenAnswer(a), p.SealAnswer(a)); err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	if a.Length != -1 || a.Has(inngest.HeaderSignature) {
		t.Errorf("length %d, outer signature %q", a.Length, a.Get(inngest.HeaderSignature))
	}
	buf := make([]byte, 8)
	for _, space := range []string{" ", "\n\t", "        "} {
		go app.Write([]byte(space))
		if n, err := io.ReadFull(a.Stream, buf[:len(space)]); string(buf[:n]) != space {
			t.Fatalf("Read = %q, %v; want %q before the app goes on", buf[:n], err, space)
		}
	}
	go func() {
		for _, part := range []string{` {"status":`, `200,"hea`, `ders":{"a":"b"},"body":"ok"}`} {
			app.Write([]byte(part))
		}
		app.Close()
	}()
	rest, err := io.ReadAll(a.Stream)
	if err != nil {
		t.Fatal(err)
	}
	status, headers, inner := unwrap(t, rest)
	if by := signedBy(t, []byte(headers["x-inngest-signature"]), inner, now); status != 200 || by != "real" || headers["a"] != "b" {
		t.Errorf("%q: status %d, signed by %s", rest, status, by)
	}
}

func TestSealStream_readsTheSameInPiecesOfAnySize(t *testing.T) {
	p := newPair(t, pairOptions(t, Strip, at(time.Unix(1795541512, 0))))
	body := recording(t, 103).Response.Body
	want, err := p.SealWrapper(body)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"at once":     bytes.NewReader(body),
		"one by one":  iotest.OneByteReader(bytes.NewReader(body)),
		"end at data": iotest.DataErrReader(bytes.NewReader(body)),
	} {
		t.Run(name, func(t *testing.T) {
			s := p.SealStream(io.NopCloser(r))
			defer s.Close()
			got, err := io.ReadAll(iotest.OneByteReader(s))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestSealStream_failsWhereItCannotSeal(t *testing.T) {
	lost := errors.New("connection lost")
	for name, c := range map[string]struct {
		from   io.Reader
		max    int
		budget int64
		want   inngest.Code
	}{
		"half an object":    {strings.NewReader(`  {"status":200`), 1 << 20, 1 << 20, inngest.CodeUpstreamBadAnswer},
		"too large":         {strings.NewReader(`{"body":"` + strings.Repeat("x", 9000) + `"}`), 4096, 1 << 20, inngest.CodeUpstreamTooLarge},
		"no memory":         {strings.NewReader(`{"body":"` + strings.Repeat("x", 9000) + `"}`), 1 << 20, 4096, inngest.CodeMemoryExhausted},
		"a lost connection": {io.MultiReader(strings.NewReader(` {"status"`), iotest.ErrReader(lost)), 1 << 20, 1 << 20, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := pairOptions(t, Strip, time.Now)
			o.MaxAnswer, o.Budget = c.max, newBudget(t, c.budget)
			s := newPair(t, o).SealStream(io.NopCloser(c.from))
			defer s.Close()
			got, err := io.ReadAll(s)
			var refusal *Error
			if c.want == "" {
				if !errors.Is(err, lost) {
					t.Errorf("read %q, %v; want %v", got, err, lost)
				}
			} else if !errors.As(err, &refusal) || refusal.Code != c.want {
				t.Errorf("read %q, %v; want %s", got, err, c.want)
			}
			if strings.TrimSpace(string(got)) != "" {
				t.Errorf("%q came out", got)
			}
		})
	}
}

func TestSealStream_ofSpaceOnlyEndsAsItCame(t *testing.T) {
	s := newPair(t, pairOptions(t, Strip, time.Now)).SealStream(io.NopCloser(strings.NewReader("   ")))
	defer s.Close()
	if got, err := io.ReadAll(s); string(got) != "   " || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}
