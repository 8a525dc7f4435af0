package intake_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// deflate codes text.
func deflate(tb testing.TB, coding string, text []byte) []byte {
	tb.Helper()
	var coded bytes.Buffer
	var to io.WriteCloser
	switch coding {
	case "gzip":
		to = gzip.NewWriter(&coded)
	case "br":
		to = brotli.NewWriter(&coded)
	case "zstd":
		z, err := zstd.NewWriter(&coded, zstd.WithEncoderConcurrency(1))
		if err != nil {
			tb.Fatal(err)
		}
		to = z
	}
	if _, err := to.Write(text); err != nil {
		tb.Fatal(err)
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return coded.Bytes()
}

func TestInflate_undoesEveryCoding(t *testing.T) {
	texts := [][]byte{[]byte(`{"name":"a"}`), bytes.Repeat([]byte("0123456789abcdef"), 1<<16), {}}
	for _, text := range texts {
		for _, coding := range []string{"gzip", "zstd", "br"} {
			got, err := intake.Inflate(coding, deflate(t, coding, text), len(text))
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("Inflate(%s of %d bytes) = %d bytes, %v", coding, len(text), len(got), err)
			}
		}
		for _, coding := range []string{"", "identity", " Identity "} {
			if got, err := intake.Inflate(coding, text, len(text)); err != nil || !bytes.Equal(got, text) {
				t.Errorf("Inflate(%q, %d bytes) = %d bytes, %v", coding, len(text), len(got), err)
			}
		}
	}
	for _, coding := range []string{"GZIP", "x-gzip"} {
		if got, err := intake.Inflate(coding, deflate(t, "gzip", texts[0]), 100); err != nil || !bytes.Equal(got, texts[0]) {
			t.Errorf("Inflate(%s) = %q, %v", coding, got, err)
		}
	}
	twice := append(deflate(t, "gzip", texts[0]), deflate(t, "gzip", texts[0])...)
	if got, err := intake.Inflate("gzip", twice, 100); err != nil || string(got) != strings.Repeat(string(texts[0]), 2) {
		t.Errorf("Inflate(two members of gzip) = %q, %v", got, err)
	}
	if got, err := intake.Inflate("gzip", nil, 100); err != nil || len(got) != 0 {
		t.Errorf("Inflate(an empty body that says gzip) = %q, %v: the server takes it for an empty body", got, err)
	}
}

func TestBadInputs_areRefusedAsCodedBodies(t *testing.T) {
	text := []byte(`{"name":"a","data":{"x":"` + strings.Repeat("0123456789", 50) + `"}}`)
	gz, zs, br := deflate(t, "gzip", text), deflate(t, "zstd", text), deflate(t, "br", text)
	flipped := bytes.Clone(gz)
	flipped[len(flipped)-8] ^= 1
	bomb := make([]byte, 64<<20)
	const limit = 1 << 20
	for name, c := range map[string]struct {
		coding string
		body   []byte
		status int
		rule   intake.Rule
		says   string
	}{
		"deflate":               {"deflate", gz, 415, intake.RuleCoding, `content coding "deflate" is not known, want one of: gzip, zstd, br`},
		"two codings":           {"gzip, br", gz, 415, intake.RuleCoding, `content coding "gzip, br" is not known`},
		"long unknown coding":   {strings.Repeat("x", 1000), gz, 415, intake.RuleCoding, "is not known"},
		"no gzip":               {"gzip", text, 400, intake.RuleCoding, "body is no valid gzip"},
		"no zstd":               {"zstd", text, 400, intake.RuleCoding, "body is no valid zstd"},
		"no br":                 {"br", []byte("\xff\xff\xff\xff"), 400, intake.RuleCoding, "body is no valid br"},
		"cut gzip":              {"gzip", gz[:len(gz)-9], 400, intake.RuleCoding, "body is no valid gzip"},
		"cut zstd":              {"zstd", zs[:len(zs)-9], 400, intake.RuleCoding, "body is no valid zstd"},
		"cut br":                {"br", br[:len(br)-9], 400, intake.RuleCoding, "body is no valid br"},
		"gzip with a wrong sum": {"gzip", flipped, 400, intake.RuleCoding, "checksum"},
		"bytes after gzip":      {"gzip", append(bytes.Clone(gz), "garbage"...), 400, intake.RuleCoding, "body is no valid gzip"},
		"bytes after zstd":      {"zstd", append(bytes.Clone(zs), "garbage"...), 400, intake.RuleCoding, "body is no valid zstd"},
		"bomb of gzip":          {"gzip", deflate(t, "gzip", bomb), 413, intake.RuleBodySize, "body has more than 1048576 bytes when inflated"},
		"bomb of zstd":          {"zstd", deflate(t, "zstd", bomb), 413, intake.RuleBodySize, "when inflated"},
		"bomb of br":            {"br", deflate(t, "br", bomb), 413, intake.RuleBodySize, "when inflated"},
		"one byte too many":     {"gzip", deflate(t, "gzip", bomb[:limit+1]), 413, intake.RuleBodySize, "when inflated"},
		"plain, too large":      {"", bomb[:limit+1], 413, intake.RuleBodySize, "body has 1048577 bytes, limit 1048576"},
		"zstd asks for 64 MiB":  {"zstd", []byte("\x28\xb5\x2f\xfd\x00\x80\x01\x00\x00"), 400, intake.RuleCoding, "window size exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := intake.Inflate(c.coding, c.body, limit)
			var e *intake.Error
			if !errors.As(err, &e) || got != nil {
				t.Fatalf("Inflate = %d bytes, %v, want an error", len(got), err)
			}
			if e.Index != -1 || e.Status != c.status || e.Rule != c.rule || !strings.Contains(e.Message, c.says) || len(e.Message) > 400 {
				t.Errorf("Inflate = %+v, want status %d, rule %s and a message with %q", *e, c.status, c.rule, c.says)
			}
		})
	}
}

// A decoder is used again after any failure, and by many at once.
func TestInflate_keepsDecodersUsable(t *testing.T) {
	text := bytes.Repeat([]byte(`{"name":"a"}`+"\n"), 10_000)
	var all sync.WaitGroup
	for _, coding := range []string{"gzip", "zstd", "br"} {
		coded := deflate(t, coding, text)
		for range 4 {
			all.Go(func() {
				for i := range 30 {
					if i%3 == 0 { // cut, too large, broken: only the next one counts
						_, _ = intake.Inflate(coding, coded[:len(coded)/2], len(text))
						_, _ = intake.Inflate(coding, coded, 100)
						_, _ = intake.Inflate(coding, text[:50], 100)
					}
					if got, err := intake.Inflate(coding, coded, len(text)); err != nil || !bytes.Equal(got, text) {
						t.Errorf("Inflate(%s) = %d bytes, %v", coding, len(got), err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

func FuzzInflate(f *testing.F) {
	for _, coding := range []string{"gzip", "zstd", "br"} {
		f.Add(coding, deflate(f, coding, []byte(`{"name":"a"}`)))
	}
	f.Fuzz(func(t *testing.T, coding string, body []byte) {
		const limit = 1 << 16
		body = slices.Clip(body) // what needs no inflating comes back as it is
		got, err := intake.Inflate(coding, body, limit)
		var e *intake.Error
		if err != nil && !errors.As(err, &e) || len(got) > limit || cap(got) > 2*limit+len(body) {
			t.Fatalf("Inflate(%q, %q) = %d bytes in %d, %v", coding, body, len(got), cap(got), err)
		}
	})
}
