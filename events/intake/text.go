package intake

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// unquote returns what the inside of a JSON string means, as encoding/json reads
// it: bytes that are no UTF-8 and lone surrogates become U+FFFD. A string
// without such things and without escapes is returned as it is, others are
// appended to room, of which the result is then a part.
func unquote(inside, room []byte) (text, grown []byte) {
	if bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return inside[:len(inside):len(inside)], room
	}
	if room == nil {
		room = make([]byte, 0, max(len(inside), 64))
	}
	from := len(room)
	for len(inside) > 0 {
		r, n := nextRune(inside)
		room = utf8.AppendRune(room, r)
		inside = inside[n:]
	}
	return room[from:len(room):len(room)], room
}

// nextRune reads one character of the inside of a valid JSON string.
func nextRune(inside []byte) (r rune, n int) {
	if inside[0] != '\\' {
		return utf8.DecodeRune(inside)
	}
	switch c := inside[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r := hex4(inside[2:6])
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(inside) >= 12 && inside[6] == '\\' && inside[7] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(inside[8:12])); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	default: // ", \ and /
		return rune(c), 2
	}
}

func hex4(digits []byte) (r rune) {
	for _, c := range digits {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// A member is one of the names that the server's decoder knows in an event or in
// its meta.
type member uint8

const (
	memberOther member = iota
	memberID
	memberName
	memberData
	memberTS
	memberV
	memberMeta
	memberUser
	memberSessions
	memberPropagated
)

// eventMember tells which member of an event a name stands for.
func eventMember(inside []byte) member {
	if len(inside) == 4 { // as nearly every sender writes them
		switch binary.LittleEndian.Uint32(inside) {
		case 'n' | 'a'<<8 | 'm'<<16 | 'e'<<24:
			return memberName
		case 'd' | 'a'<<8 | 't'<<16 | 'a'<<24:
			return memberData
		}
	}
	var room [maxMember]byte
	switch string(fold(inside, room[:0])) {
	case "id":
		return memberID
	case "name":
		return memberName
	case "data":
		return memberData
	case "ts":
		return memberTS
	case "v":
		return memberV
	case "meta":
		return memberMeta
	case "user":
		return memberUser
	}
	return memberOther
}

// metaMember tells which member of an event's meta a name stands for.
func metaMember(inside []byte) member {
	var room [maxMember]byte
	switch string(fold(inside, room[:0])) {
	case "sessions":
		return memberSessions
	case "propagated_sessions":
		return memberPropagated
	}
	return memberOther
}

// maxMember is the length of the longest known name, propagated_sessions.
const maxMember = 19

// fold appends the form in which encoding/json compares names: letter case does
// not count, and neither does the long s. A name that none of ours can equal
// gives nothing.
func fold(inside, to []byte) []byte {
	for len(inside) > 0 {
		r, n := rune(inside[0]), 1
		if r == '\\' || r >= utf8.RuneSelf {
			r, n = nextRune(inside)
		}
		switch {
		case r == 'ſ':
			r = 's'
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r >= utf8.RuneSelf:
			return nil
		}
		if len(to) == maxMember {
			return nil
		}
		to = append(to, byte(r))
		inside = inside[n:]
	}
	return to
}

// reserved tells whether a name is under inngest/ as strings.ToLower sees it: İ
// becomes i there.
func reserved(name []byte) bool {
	for _, want := range []byte(inngest.ReservedEventPrefix) {
		if len(name) == 0 {
			return false
		}
		r, n := utf8.DecodeRune(name)
		if unicode.ToLower(r) != rune(want) {
			return false
		}
		name = name[n:]
	}
	return true
}
