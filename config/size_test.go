package config

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestSize_readsUnits(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "512B": 512, "1KB": 1000, "16KiB": 16 << 10, "8MiB": 8 << 20, "8Mi": 8 << 20,
		"2GB": 2e9, "1TiB": 1 << 40, "9223372036854775807": math.MaxInt64,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("UnmarshalText(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestSize_refusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "8 MiB", "8mib", "8MiBB", "8M", "50%", "9223372036854775808", "8388608TiB", "1_000"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %d, want an error", text, got)
		}
	}
}

func TestSize_readsWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Min(0).Draw(t, "bytes"))
		var got Size
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%v reads as %d, %v, want %d", want, got, err, want)
		}
	})
}

func TestPortion_isAPartOfWhatThereIs(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		total int64
		want  int64
	}{
		"half of 1 GiB":            {"50%", 1 << 30, 1 << 29},
		"all of it":                {"100%", 12345, 12345},
		"a percent of little":      {"1%", 99, 0},
		"a third of the most":      {"33%", math.MaxInt64, math.MaxInt64/100*33 + math.MaxInt64%100*33/100},
		"a size, whatever is left": {"512MiB", 1, 512 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			var p Portion
			if err := p.UnmarshalText([]byte(c.text)); err != nil {
				t.Fatalf("UnmarshalText(%q): %v", c.text, err)
			}
			if got := p.Of(c.total); got != c.want {
				t.Errorf("Of(%d) = %d, want %d", c.total, got, c.want)
			}
			if p.String() != c.text {
				t.Errorf("String = %q, want %q", p, c.text)
			}
		})
	}
}

func TestPortion_refusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "%", "0%", "101%", "-1%", "5.5%", "half", "50 %"} {
		var p Portion
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", text, p)
		}
	}
}
