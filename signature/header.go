package signature

import (
	"bytes"
	"crypto/sha256"
	"math"
)

// A header is a parsed X-Inngest-Signature.
type header struct {
	unix   int64
	digits []byte // t as it was sent: the HMAC covers this text
	sum    [sha256.Size]byte
}

// parseHeader reads "t=<digits>&s=<64 lower hex digits>" and nothing else. A
// number has one spelling: no sign, no leading zero, no space, no exponent.
// With more than one way to write a header, two parsers on its way could read
// two times out of it.
func parseHeader(text []byte) (h header, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte("t="))
	if !ok {
		return h, false
	}
	digits, rest, ok := bytes.Cut(rest, []byte("&s="))
	if !ok || len(rest) != 2*len(h.sum) {
		return h, false
	}
	if h.unix, ok = parseUnix(digits); !ok {
		return h, false
	}
	h.digits = digits
	for i := range h.sum {
		hi, lo := lowerHex(rest[2*i]), lowerHex(rest[2*i+1])
		if hi|lo > 15 {
			return h, false
		}
		h.sum[i] = hi<<4 | lo
	}
	return h, true
}

// parseUnix reads a decimal number that fits an int64.
func parseUnix(digits []byte) (n int64, ok bool) {
	if len(digits) == 0 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// lowerHex returns the value of a lower-case hex digit, 255 for anything else.
func lowerHex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
