package inbound

import "bytes"

// maxKnownName is longer than every name that fieldOf knows: of longer names
// only the beginning matters.
const maxKnownName = 48

// maxListed bounds the names that Connection headers list.
const maxListed = 16

var (
	crlf    = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
	comma   = []byte(",")
)

// A field says what the gateway does with a header field.
type field uint8

const (
	fieldOther   field = iota // passes
	fieldOurs                 // passes, whatever Connection says
	fieldDropped              // of this hop, or one that only the gateway may set
	fieldConnection
	fieldUpgrade
	fieldTrailer
	fieldAcceptEncoding
	fieldForwardedFor
	fieldForwardedProto
	fieldForwardedHost

	// Fields that must not be there twice.
	fieldHost
	fieldLength
	fieldCoding
	fieldExpect
	fieldSignature
	fieldServerKind
	fieldContentType
	fieldSyncKind
	fieldRunID
	fieldJobID
	fieldGeneration
	fieldStepID
)

// single tells whether two such fields in a head are one too many.
func (f field) single() bool { return f >= fieldHost }

// passes tells whether the app gets the field.
func (f field) passes() bool {
	return f <= fieldOurs || f == fieldAcceptEncoding || f >= fieldContentType
}

// ours tells whether the field is the protocol's own: a Connection header that
// lists it must not remove it.
func (f field) ours() bool { return f == fieldOurs || f >= fieldHost }

// fieldOf classifies a name in lower case.
func fieldOf(name []byte) field {
	switch string(name) {
	case "host":
		return fieldHost
	case "content-length":
		return fieldLength
	case "transfer-encoding":
		return fieldCoding
	case "connection":
		return fieldConnection
	case "expect":
		return fieldExpect
	case "upgrade":
		return fieldUpgrade
	case "trailer":
		return fieldTrailer
	case "accept-encoding":
		return fieldAcceptEncoding
	case "content-type":
		return fieldContentType
	case "traceparent", "tracestate", "account-id", "x-request-id":
		// The request id is no part of a call's identity, and proxies on the
		// way (Envoy by default) write one of their own.
		return fieldOurs
	case "x-run-id":
		return fieldRunID
	case "keep-alive", "te", "http2-settings", "proxy", "forwarded":
		return fieldDropped
	}
	if len(name) > 2 && name[0] == 'x' && name[1] == '-' {
		return fieldOfExtension(name)
	}
	if bytes.HasPrefix(name, []byte("proxy-")) {
		return fieldDropped
	}
	return fieldOther
}

// fieldOfExtension classifies a name that begins with x-.
func fieldOfExtension(name []byte) field {
	switch string(name) {
	case "x-inngest-signature":
		return fieldSignature
	case "x-inngest-job-id":
		return fieldJobID
	case "x-inngest-generation-id":
		return fieldGeneration
	case "x-inngest-step-id":
		return fieldStepID
	case "x-inngest-server-kind":
		return fieldServerKind
	case "x-inngest-sync-kind":
		return fieldSyncKind
	case "x-inngest-sdk", "x-inngest-sdk-handled":
		return fieldDropped // of answers alone
	case "x-forwarded-for":
		return fieldForwardedFor
	case "x-forwarded-proto":
		return fieldForwardedProto
	case "x-forwarded-host":
		return fieldForwardedHost
	case "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-forwarded", "x-host", "x-proxyuser-ip",
		"x-http-method-override", "x-http-method", "x-method-override", "x-envoy-original-path":
		return fieldDropped
	}
	for _, prefix := range droppedPrefixes {
		if bytes.HasPrefix(name, []byte(prefix)) {
			return fieldDropped
		}
	}
	if bytes.HasPrefix(name, []byte("x-inngest-")) {
		return fieldOurs
	}
	return fieldOther
}

// droppedPrefixes begin names that proxies set and apps believe.
var droppedPrefixes = [...]string{"x-forwarded-", "x-gateway-", "x-original-", "x-rewrite-"}

// underscoreOK tells whether a name with underscores stays an unknown one when
// they are read as hyphens, as CGI and its heirs do.
func underscoreOK(name []byte) bool {
	var hyphened [maxKnownName]byte
	n := copy(hyphened[:], name)
	for i, c := range hyphened[:n] {
		if c == '_' {
			hyphened[i] = '-'
		}
	}
	return fieldOf(hyphened[:n]) == fieldOther
}

// lowered maps the characters of a token (RFC 9110, section 5.6.2) to lower
// case, all others to 0.
var lowered = [256]byte{
	'!': '!', '#': '#', '$': '$', '%': '%', '&': '&', '\'': '\'', '*': '*', '+': '+', '-': '-', '.': '.',
	'^': '^', '_': '_', '`': '`', '|': '|', '~': '~',
	'0': '0', '1': '1', '2': '2', '3': '3', '4': '4', '5': '5', '6': '6', '7': '7', '8': '8', '9': '9',
	'a': 'a', 'b': 'b', 'c': 'c', 'd': 'd', 'e': 'e', 'f': 'f', 'g': 'g', 'h': 'h', 'i': 'i', 'j': 'j',
	'k': 'k', 'l': 'l', 'm': 'm', 'n': 'n', 'o': 'o', 'p': 'p', 'q': 'q', 'r': 'r', 's': 's', 't': 't',
	'u': 'u', 'v': 'v', 'w': 'w', 'x': 'x', 'y': 'y', 'z': 'z',
	'A': 'a', 'B': 'b', 'C': 'c', 'D': 'd', 'E': 'e', 'F': 'f', 'G': 'g', 'H': 'h', 'I': 'i', 'J': 'j',
	'K': 'k', 'L': 'l', 'M': 'm', 'N': 'n', 'O': 'o', 'P': 'p', 'Q': 'q', 'R': 'r', 'S': 's', 'T': 't',
	'U': 'u', 'V': 'v', 'W': 'w', 'X': 'x', 'Y': 'y', 'Z': 'z',
}
