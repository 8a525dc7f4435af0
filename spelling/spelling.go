// Package spelling finds what a misspelt name was meant to be, for messages that
// name what is wrong. Which names there are is for who asks.
package spelling

import "strings"

// Nearest returns the known name that a wrong one was most likely meant to be,
// empty if none is near. Letter case, "_" and "-" do not count; one letter in
// three may be wrong, one in any name of two or more.
func Nearest(name string, known []string) string {
	folded := Fold(name)
	wrong := max(1, len(folded)/3)
	if len(folded) == 1 {
		wrong = 0
	}
	best, least := "", 1+wrong
	for _, k := range known {
		if d := distance(folded, Fold(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// Fold returns a name in the form in which names are compared.
func Fold(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to come from a to b.
func distance(a, b string) int {
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(replaced, last[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
}
