package inngest_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
	"pgregory.net/rapid"
)

func TestSeed_foretellsEveryRecordedID(t *testing.T) {
	requests, ids := 0, 0
	for _, x := range recorded.Load(t) {
		header := x.Request.Get(inngest.HeaderEventIDSeed)
		if header == "" {
			continue
		}
		requests++
		seed, err := inngest.ParseSeed(header)
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		if got := seed.String(); got != header {
			t.Errorf("%s: String = %q, want %q", x.Name, got, header)
		}
		var result inngest.EventResult
		if err := json.Unmarshal(x.Response.Body, &result); err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		for i, want := range result.IDs {
			ids++
			if got := seed.ID(i + 1); got != want {
				t.Errorf("%s: ID(%d) = %s, want %s", x.Name, i+1, got, want)
			}
			if got := string(seed.AppendID([]byte("id "), i+1)); got != "id "+want {
				t.Errorf("%s: AppendID(%d) = %q, want %s", x.Name, i+1, got, want)
			}
			if got := seed.From(i + 1).ID(1); got != want {
				t.Errorf("%s: From(%d).ID(1) = %s, want %s", x.Name, i+1, got, want)
			}
		}
	}
	if requests < 4 || ids < 7 {
		t.Errorf("only %d recorded requests with %d ids", requests, ids)
	}
}

// A batch that is cut in two must give each event the id it would have had.
func TestSeed_givesASuffixTheSameIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s inngest.Seed
		s.Millis = rapid.Uint64Range(0, 1<<48-1).Draw(t, "millis")
		copy(s.Entropy[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "entropy"))
		k := rapid.IntRange(1, inngest.MaxEventsPerRequest).Draw(t, "k")
		n := rapid.IntRange(1, inngest.MaxEventsPerRequest).Draw(t, "n")
		if got, want := s.From(k).ID(n), s.ID(k+n-1); got != want {
			t.Errorf("From(%d).ID(%d) = %s, ID(%d) = %s", k, n, got, k+n-1, want)
		}
		again, err := inngest.ParseSeed(s.String())
		if err != nil || again != s {
			t.Errorf("ParseSeed(%q) = %v, %v, want %v", s, again, err, s)
		}
	})
}

func TestSeed_wrapsTheLastFourBytesAlone(t *testing.T) {
	s := inngest.Seed{Millis: 1}
	copy(s.Entropy[:], "\x01\x02\x03\x04\x05\x06\xff\xff\xff\xff")
	want := inngest.Seed{Millis: 1}
	copy(want.Entropy[:], "\x01\x02\x03\x04\x05\x06\x00\x00\x00\x00")
	if got := s.From(2); got != want {
		t.Errorf("From(2) = %v, want %v: no carry into the other bytes", got, want)
	}
}

func TestParseSeed_refusesWhatTheServerCannotRead(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  "",
		"no comma":                 "1795540000000",
		"no milliseconds":          ",MDEyMzQ1Njc4OQ==",
		"signed milliseconds":      "+1,MDEyMzQ1Njc4OQ==",
		"negative milliseconds":    "-1,MDEyMzQ1Njc4OQ==",
		"more than 48 bits":        "281474976710656,MDEyMzQ1Njc4OQ==",
		"nine bytes":               "1,MDEyMzQ1Njc4",
		"eleven bytes":             "1,MDEyMzQ1Njc4OTA=",
		"no padding":               "1,MDEyMzQ1Njc4OQ",
		"bits that mean nothing":   "1,MDEyMzQ1Njc4OR==",
		"URL alphabet":             "1,____________8=",
		"text after it":            "1,MDEyMzQ1Njc4OQ==,",
		"line break in the middle": "1,MDEyMzQ1\nNjc4OQ==",
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := inngest.ParseSeed(text); err == nil {
				t.Errorf("ParseSeed(%q) = %v, want an error", text, s)
			}
		})
	}
}

func TestHashStepID_numbersRepeatedIDs(t *testing.T) {
	for n, want := range []string{ // of "a", "a:1" and "a:2", as sha1sum prints them
		"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
		"de89bfaf06245091a7873290a793604612302247",
		"20276a922b7f092ff864f0fedcec18a7ff3bfeab",
	} {
		if got := inngest.HashStepID("a", n); got != want {
			t.Errorf("HashStepID(a, %d) = %s, want %s", n, got, want)
		}
	}
	if got := inngest.HashStepID("complete", 0); got != inngest.RunCompleteID {
		t.Errorf("HashStepID(complete, 0) = %s, want %s", got, inngest.RunCompleteID)
	}
}

func FuzzParseSeed(f *testing.F) {
	for _, x := range recorded.Load(f) {
		if header := x.Request.Get(inngest.HeaderEventIDSeed); header != "" {
			f.Add(header, 1)
		}
	}
	f.Add("0,AAAAAAAAAAAAAA==", math.MaxInt32)
	f.Fuzz(func(t *testing.T, text string, n int) {
		seed, err := inngest.ParseSeed(text)
		if err != nil {
			return
		}
		if again, err := inngest.ParseSeed(seed.String()); err != nil || again != seed {
			t.Errorf("ParseSeed(%q) = %v, %v", seed, again, err)
		}
		if id := seed.ID(n); len(id) != 26 {
			t.Errorf("ID(%d) = %q", n, id)
		}
	})
}
