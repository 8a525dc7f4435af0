// Package figures makes medians and ratios of what turns gave, and says on what
// kind of machine. What a turn is and what to compare is for the commands.
package figures

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// A Summary is a median with its quartiles.
type Summary struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

// Summarize sorts values, of which there is one at least.
func Summarize(values []float64) Summary {
	slices.Sort(values)
	at := func(q float64) float64 { // between the two nearest
		place := q * float64(len(values)-1)
		i := int(place)
		if i+1 == len(values) {
			return values[i]
		}
		return values[i] + (place-float64(i))*(values[i+1]-values[i])
	}
	return Summary{Median: at(0.5), Q1: at(0.25), Q3: at(0.75)}
}

// Of summarizes a figure of turns.
func Of[T any](turns []T, figure func(T) float64) Summary {
	var values []float64
	for _, t := range turns {
		values = append(values, figure(t))
	}
	return Summarize(values)
}

// Ratio summarizes the ratios of a figure between turns that belong together.
func Ratio[T any](turns, to []T, figure func(T) float64) Summary {
	var within []float64
	for i, t := range turns {
		within = append(within, figure(t)/figure(to[i]))
	}
	return Summarize(within)
}

// String is how a table shows a ratio.
func (s Summary) String() string {
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", s.Median, s.Q1, s.Q3)
}

// Machine names the kind of machine: figures of another kind do not compare.
func Machine() string {
	model := "unknown processor"
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
