package pool

import (
	"bytes"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// fieldKind says what a field of an answer is to the exchange.
type fieldKind uint8

const (
	fieldEnd        fieldKind = iota // end-to-end
	fieldLength                      // Content-Length
	fieldCoding                      // Transfer-Encoding
	fieldConnection                  // Connection
	fieldKeepAlive                   // Keep-Alive
	fieldHop                         // speaks of one connection only, or is the gateway's own
)

// kindOf looks at the length first: nearly all names are none of these.
func kindOf(name []byte) fieldKind {
	switch len(name) {
	case len("TE"):
		return hopIf(name, "TE")
	case len("Trailer"):
		if equalFold(name, "Trailer") {
			return fieldHop
		}
		return hopIf(name, "Upgrade")
	case len("Connection"):
		if equalFold(name, "Connection") {
			return fieldConnection
		}
		if equalFold(name, "Keep-Alive") {
			return fieldKeepAlive
		}
	case len("Content-Length"):
		if equalFold(name, "Content-Length") {
			return fieldLength
		}
		return hopIf(name, "HTTP2-Settings")
	case len("Proxy-Connection"):
		return hopIf(name, "Proxy-Connection")
	case len("Transfer-Encoding"):
		if equalFold(name, "Transfer-Encoding") {
			return fieldCoding
		}
	case len("Proxy-Authenticate"):
		return hopIf(name, "Proxy-Authenticate")
	case len("Proxy-Authorization"):
		return hopIf(name, "Proxy-Authorization")
	case len("Proxy-Authentication-Info"):
		return hopIf(name, "Proxy-Authentication-Info")
	}
	if hasPrefixFold(name, "X-Gateway-") {
		return fieldHop // only the gateway itself says these
	}
	return fieldEnd
}

func hopIf(name []byte, s string) fieldKind {
	if equalFold(name, s) {
		return fieldHop
	}
	return fieldEnd
}

func hasPrefixFold(name []byte, prefix string) bool {
	return len(name) > len(prefix) && equalFold(name[:len(prefix)], prefix)
}

// setConnection reads one Connection field.
func (h *head) setConnection(value []byte) {
	var listed bool
	for part := range bytes.SplitSeq(value, []byte{','}) {
		switch token := trimSpace(part); {
		case len(token) == 0:
		case equalFold(token, "close"):
			h.close = true
		case equalFold(token, "keep-alive"):
			h.keepAlive = true
		default:
			listed = true
		}
	}
	if listed {
		h.lists = append(h.lists, value)
	}
}

// dropListed removes the fields that Connection names: they were meant for the
// connection alone. What the protocol needs stays, or an app behind a proxy
// that lists too much would lose the meaning of its answers.
func (h *head) dropListed() {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !h.namesListed(f.Name) || isProtected(f.Name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
}

func (h *head) namesListed(name []byte) bool {
	for _, list := range h.lists {
		for part := range bytes.SplitSeq(list, []byte{','}) {
			if bytes.EqualFold(trimSpace(part), name) {
				return true
			}
		}
	}
	return false
}

func isProtected(name []byte) bool {
	if hasPrefixFold(name, "X-Inngest-") {
		return true
	}
	for _, s := range []string{
		"Content-Type", "Content-Encoding", "Location", "Date", inngest.HeaderRetryAfter, inngest.HeaderRunID,
		inngest.HeaderRequestID, inngest.HeaderAccountID, inngest.HeaderTraceparent, inngest.HeaderTracestate,
	} {
		if equalFold(name, s) {
			return true
		}
	}
	return false
}

// isToken tells whether c may stand in a field name (RFC 9110, section 5.6.2).
func isToken(c byte) bool {
	const (
		letters = 1<<26 - 1
		low     = (1<<10-1)<<'0' | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' |
			1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
		high = letters<<('A'-64) | letters<<('a'-64) |
			1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	)
	if c < 64 {
		return uint64(low)>>c&1 != 0
	}
	return c < 128 && uint64(high)>>(c-64)&1 != 0
}
