package inbound

import (
	"bytes"
	"encoding/binary"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A head is what one pass over the bytes of a request's head found in them. Its
// slices point into these bytes, but for lines. Nothing else ever reads the
// head: fasthttp is shown one of our own (conn.go), the app gets lines.
type head struct {
	method []byte
	target []byte
	path   []byte // of target, as it came
	query  []byte // of target, with its question mark
	http10 bool

	host      []byte
	signature []byte
	length    int64 // declared, 0 if not
	chunked   bool
	close     bool // the caller sends no further request
	expect    bool // the caller waits for a 100 before it sends the body

	runID, jobID, generation, stepID            []byte
	serverKind, syncKind                        []byte
	acceptEncoding                              []byte
	forwardedFor, forwardedProto, forwardedHost []byte

	lines  []byte // what the app gets, every line validated and ended by CRLF
	listed [][]byte
	seen   uint32
}

// reset keeps the storage.
func (h *head) reset() { *h = head{lines: h.lines[:0], listed: h.listed[:0]} }

// read reads a head that ends with an empty line. What can be read in two ways
// is refused: the app must never see another request than the one we judged.
func (h *head) read(raw []byte, maxURI int) *refusal {
	if !bytes.HasSuffix(raw, headEnd) {
		return malformed("its head has no end")
	}
	at, r := h.readRequestLine(raw, maxURI)
	if r != nil {
		return r
	}
	kept := at // start of the lines that are kept and not copied yet
	for !bytes.HasPrefix(raw[at:], crlf) {
		next, f, r := h.readLine(raw, at)
		if r != nil {
			return r
		}
		if !f.passes() {
			h.lines = append(h.lines, raw[kept:at]...)
			kept = next
		}
		at = next
	}
	h.lines = append(h.lines, raw[kept:at]...)
	if at+len(crlf) != len(raw) {
		return malformed("the request goes on behind the end of its head")
	}
	if len(h.listed) > 0 {
		h.dropListed()
	}
	return h.checkWhole()
}

// readRequestLine returns where the header lines begin.
func (h *head) readRequestLine(raw []byte, maxURI int) (int, *refusal) {
	end := bytes.IndexByte(raw, '\n')
	if end < 1 || raw[end-1] != '\r' {
		return 0, malformed("the request line does not end with CR LF")
	}
	line := raw[:end-1]
	space := bytes.IndexByte(line, ' ')
	if space < 1 || !isToken(line[:space]) {
		return 0, malformed("the request line does not begin with a method")
	}
	h.method = line[:space]
	rest := line[space+1:]
	space = bytes.IndexByte(rest, ' ')
	if space < 0 {
		return 0, badVersion("0.9")
	}
	h.target = rest[:space]
	switch version := rest[space+1:]; string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.http10, h.close = true, true
	default:
		if name, ok := bytes.CutPrefix(version, []byte("HTTP/")); ok && len(name) <= 3 && clean(name) == len(name) {
			return 0, badVersion(string(name))
		}
		return 0, malformed("the request line does not end with an HTTP version")
	}
	return end + 1, h.splitTarget(maxURI)
}

func (h *head) splitTarget(maxURI int) *refusal {
	if len(h.target) > maxURI {
		return uriTooLong(len(h.target), maxURI)
	}
	for _, c := range h.target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return malformed("the request target has characters that must be encoded")
		}
	}
	if len(h.target) == 0 || h.target[0] != '/' {
		if m := string(h.method); m == "CONNECT" || m == "OPTIONS" {
			return nil // refused for its method
		}
		return malformed("the request target does not begin with a slash")
	}
	h.path = h.target
	if i := bytes.IndexByte(h.target, '?'); i >= 0 {
		h.path, h.query = h.target[:i], h.target[i:]
	}
	return nil
}

// readLine reads the header line at that offset and returns where the next
// begins.
func (h *head) readLine(raw []byte, at int) (next int, f field, r *refusal) {
	var low [maxKnownName]byte
	underscored := false
	colon := at
	for ; colon < len(raw); colon++ {
		c := lowered[raw[colon]]
		if c == 0 {
			break
		}
		if n := colon - at; n < len(low) {
			low[n] = c
		}
		underscored = underscored || c == '_'
	}
	if colon == at || colon == len(raw) || raw[colon] != ':' {
		if c := raw[at]; c == ' ' || c == '\t' {
			return 0, 0, malformed("a header line is continued on a second one")
		}
		return 0, 0, malformed("a header line does not begin with a name and a colon")
	}
	begin := colon + 1
	end := begin + clean(raw[begin:])
	if !bytes.HasPrefix(raw[end:], crlf) {
		return 0, 0, malformed("the value of a header has a control character, or its line does not end with CR LF")
	}
	name := low[:min(colon-at, len(low))]
	if underscored && !underscoreOK(name) {
		return 0, 0, malformed("a header of the protocol is spelled with an underscore")
	}
	f = fieldOf(name)
	return end + len(crlf), f, h.take(f, trim(raw[begin:end]))
}

// take notes the value of a field that means something to the gateway.
func (h *head) take(f field, value []byte) *refusal {
	if bit := uint32(1) << f; f.single() {
		if h.seen&bit != 0 {
			if f == fieldSignature {
				return unsigned(inngest.CodeSignatureMalformed, "The request has two X-Inngest-Signature headers.")
			}
			return malformed("a header that must be there once is there twice")
		}
		h.seen |= bit
	}
	switch f {
	case fieldHost:
		h.host = value
	case fieldLength:
		return h.takeLength(value)
	case fieldCoding:
		if !equalFold(value, "chunked") {
			return malformed("the transfer coding is not chunked alone")
		}
		h.chunked = true
	case fieldConnection:
		return h.takeConnection(value)
	case fieldExpect:
		if !equalFold(value, "100-continue") {
			return malformed("it expects what the gateway does not know")
		}
		h.expect = !h.http10
	case fieldUpgrade:
		return malformed("it asks for another protocol")
	case fieldTrailer:
		return malformed("it declares trailers")
	default:
		if to := h.text(f); to != nil {
			*to = value
		}
	}
	return nil
}

// text returns where the value of a field is kept that is kept as it is, nil if
// it is not.
func (h *head) text(f field) *[]byte {
	switch f {
	case fieldSignature:
		return &h.signature
	case fieldRunID:
		return &h.runID
	case fieldJobID:
		return &h.jobID
	case fieldGeneration:
		return &h.generation
	case fieldStepID:
		return &h.stepID
	case fieldServerKind:
		return &h.serverKind
	case fieldSyncKind:
		return &h.syncKind
	case fieldAcceptEncoding:
		return &h.acceptEncoding
	case fieldForwardedFor:
		return &h.forwardedFor
	case fieldForwardedProto:
		return &h.forwardedProto
	case fieldForwardedHost:
		return &h.forwardedHost
	}
	return nil
}

func (h *head) takeLength(value []byte) *refusal {
	if len(value) == 0 || len(value) > 18 || len(value) > 1 && value[0] == '0' {
		return malformed("the content length is no plain decimal number")
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return malformed("the content length is no plain decimal number")
		}
		h.length = h.length*10 + int64(c-'0')
	}
	return nil
}

// takeConnection keeps the names that a Connection header lists: fields of this
// hop, whatever they are.
func (h *head) takeConnection(value []byte) *refusal {
	for len(value) > 0 {
		var token []byte
		token, value, _ = bytes.Cut(value, comma)
		switch token = trim(token); {
		case len(token) == 0, equalFold(token, "keep-alive"):
		case equalFold(token, "close"):
			h.close = true
		case !isToken(token):
			return malformed("the Connection header lists what is no name")
		case len(h.listed) == maxListed:
			return malformed("the Connection header lists too many names")
		default:
			h.listed = append(h.listed, token)
		}
	}
	return nil
}

// dropListed removes from lines what a Connection header listed, but for the
// protocol's own headers: a caller on the way must not be able to hide those.
func (h *head) dropListed() {
	kept := h.lines[:0]
	for rest := h.lines; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		line := rest[:end]
		rest = rest[end:]
		if name := line[:bytes.IndexByte(line, ':')]; !h.lists(name) {
			kept = append(kept, line...)
		}
	}
	h.lines = kept
}

func (h *head) lists(name []byte) bool {
	for _, listed := range h.listed {
		if len(listed) == len(name) && bytes.EqualFold(listed, name) {
			var low [maxKnownName]byte
			for i := range min(len(name), len(low)) {
				low[i] = lowered[name[i]]
			}
			return !fieldOf(low[:min(len(name), len(low))]).ours()
		}
	}
	return false
}

// checkWhole looks at what only the whole head tells.
func (h *head) checkWhole() *refusal {
	switch {
	case h.host == nil && !h.http10:
		return malformed("it has no Host header")
	case h.host != nil && !isHost(h.host):
		return malformed("the Host header is no host and port")
	case h.chunked && h.seen&(1<<fieldLength) != 0:
		return malformed("it has a content length and a transfer coding")
	case h.chunked && h.http10:
		return malformed("HTTP/1.0 has no transfer codings")
	}
	return nil
}

// isHost tells whether a Host header is a name or an address and perhaps a
// port: nothing that a URL parser could take for more.
func isHost(host []byte) bool {
	for _, c := range host {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case bytes.IndexByte([]byte("-._~:[]"), c) >= 0:
		default:
			return false
		}
	}
	return len(host) > 0
}

// clean returns how many bytes at the start of b are no control characters. A
// tab is none here.
func clean(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		del := w ^ ones*0x7f
		if ((w-ones*' ')&^w|(del-ones)&^del)&tops != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' && c != '\t' || c == 0x7f {
			break
		}
	}
	return i
}

// trim removes optional white space at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func isToken(b []byte) bool {
	for _, c := range b {
		if lowered[c] == 0 {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares with a text in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if lowered[c] != lower[i] {
			return false
		}
	}
	return true
}
