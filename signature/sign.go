package signature

import (
	"encoding/hex"
	"strconv"
	"time"
)

// headerLen is the length of a header with a ten-digit time.
const headerLen = len("t=1234567890&s=") + 64

// Sign returns the value of X-Inngest-Signature for a body that leaves at that
// time, byte for byte as it is. A body that the gateway made or changed must
// be in [Canonical] form. k must not be zero.
func Sign(k Key, body []byte, at time.Time) string {
	return string(AppendSign(make([]byte, 0, headerLen), k, body, at))
}

// AppendSign appends what [Sign] returns to dst.
func AppendSign(dst []byte, k Key, body []byte, at time.Time) []byte {
	dst = append(dst, "t="...)
	from := len(dst)
	dst = strconv.AppendInt(dst, at.Unix(), 10)
	h := k.hashers.Get().(*hasher)
	h.hash(body, dst[from:])
	dst = append(dst, "&s="...)
	dst = hex.AppendEncode(dst, h.sum[:])
	k.hashers.Put(h)
	return dst
}

// hash leaves the HMAC of the body followed by the digits of t in h.sum.
func (h *hasher) hash(body, t []byte) {
	h.mac.Reset()
	h.mac.Write(body)
	h.mac.Write(t)
	h.mac.Sum(h.sum[:0])
}
