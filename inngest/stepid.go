package inngest

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// HashStepID returns the id of a step on the wire: SHA-1 of the step's own id
// or, for the n-th repetition of it, of "id:n". The first step of an id has
// n = 0, the second n = 1.
func HashStepID(id string, n int) string {
	if n > 0 {
		id += ":" + strconv.Itoa(n)
	}
	sum := sha1.Sum([]byte(id))
	return hex.EncodeToString(sum[:])
}
