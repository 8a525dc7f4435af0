package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, written with a unit: 8MiB, 16KiB, 1GB.
type Size int64

// Units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var errNotSize = errors.New("not a size")

// UnmarshalText reads a whole number of bytes, or one with a unit.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "KMGTiB")
	unit := string(text)[len(digits):]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return errNotSize
	}
	factor := unitBytes(unit)
	if factor == 0 || n > uint64(math.MaxInt64/factor) {
		return errNotSize
	}
	*s = Size(n) * factor
	return nil
}

// unitBytes returns 0 for a unit that does not exist.
func unitBytes(unit string) Size {
	switch unit {
	case "", "B":
		return 1
	case "KB":
		return 1e3
	case "MB":
		return 1e6
	case "GB":
		return 1e9
	case "TB":
		return 1e12
	case "KiB", "Ki":
		return KiB
	case "MiB", "Mi":
		return MiB
	case "GiB", "Gi":
		return GiB
	case "TiB", "Ti":
		return TiB
	}
	return 0
}

// String writes the size in the largest unit that needs no fraction.
func (s Size) String() string {
	for _, u := range []struct {
		bytes Size
		name  string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes what UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (Size) wants() string { return "a size with its unit, such as 8MiB or 64KiB" }

// A Portion is a part of the memory that the process may use: a size, or a
// percentage of what there is.
type Portion struct {
	percent int  // 1 to 100; 0 if size counts
	size    Size // > 0 if percent is 0
}

// PortionOf returns the portion of so many bytes.
func PortionOf(size Size) Portion { return Portion{size: size} }

// PercentOf returns the portion of so many hundredths of what there is.
func PercentOf(percent int) Portion { return Portion{percent: percent} }

// Of returns the portion in bytes where total is what there is.
func (p Portion) Of(total int64) int64 {
	if p.percent == 0 {
		return int64(p.size)
	}
	return total/100*int64(p.percent) + total%100*int64(p.percent)/100
}

// UnmarshalText reads a percentage from 1% to 100%, or a size.
func (p *Portion) UnmarshalText(text []byte) error {
	digits, ok := strings.CutSuffix(string(text), "%")
	if !ok {
		*p = Portion{}
		return p.size.UnmarshalText(text)
	}
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || n < 1 || n > 100 {
		return errNotSize
	}
	*p = Portion{percent: int(n)}
	return nil
}

// String writes the portion as UnmarshalText reads it.
func (p Portion) String() string {
	if p.percent == 0 {
		return p.size.String()
	}
	return strconv.Itoa(p.percent) + "%"
}

// MarshalText writes what UnmarshalText reads.
func (p Portion) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (Portion) wants() string { return "a percentage from 1% to 100%, or a size such as 512MiB" }
