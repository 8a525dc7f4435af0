package outbound

import (
	"net/http"
	"strings"
)

// dropped are the fields that never pass, neither way: they belong to one
// connection, restate who called or how, or are the gateway's own. Names are
// in lower case.
var droppedNames = [...]string{
	"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "proxy",
	"te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect",
	"content-length", // written afresh
	"forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "x-original-host",
	"x-http-method", "x-http-method-override", "x-method-override",
}

var droppedPrefixes = [...]string{"x-forwarded-", "x-gateway-", "proxy-"}

// passes tells whether a field may pass. Listed is the value of Connection:
// what it lists belongs to the connection too, except the protocol's own
// fields, which nobody may remove that way.
func passes(name, listed string) bool {
	// Servers that turn names into variables take "_" for "-".
	lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, d := range droppedNames {
		if lower == d {
			return false
		}
	}
	for _, p := range droppedPrefixes {
		if strings.HasPrefix(lower, p) {
			return false
		}
	}
	if listed == "" || protocolField(lower) {
		return true
	}
	return !hasToken(listed, lower)
}

func protocolField(lower string) bool {
	switch lower {
	case "authorization", "content-type", "content-encoding", "accept-encoding", "host",
		"x-run-id", "x-request-id", "traceparent", "tracestate", "retry-after":
		return true
	}
	return strings.HasPrefix(lower, "x-inngest-")
}

// hasToken tells whether a comma-separated list has a token, without regard to
// letter case.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// validField tells whether a field can be forwarded without being read in two
// ways: its name is a token, its value is free of control characters.
func validField(name, value string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if !tokenByte(name[i]) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

func tokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// forInngest drops from a request what only the gateway may say there.
func forInngest(h http.Header) {
	h.Del("Authorization") // comes back from the grant
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or net/http would put its own name there
	}
}
