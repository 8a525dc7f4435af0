package intake

import (
	"encoding/binary"
	"math/bits"
)

// A fault says what a syntax error is about.
type fault uint8

const (
	faultNone fault = iota
	faultValue
	faultTrue
	faultFalse
	faultNull
	faultNumber
	faultFraction
	faultExponent
	faultString
	faultEscape
	faultHex
	faultName
	faultColon
	faultMember
	faultElement
	faultDepth
)

// where says it in encoding/json's words.
func (f fault) where() string {
	return [...]string{
		faultNone:     "",
		faultValue:    "looking for beginning of value",
		faultTrue:     "in literal true",
		faultFalse:    "in literal false",
		faultNull:     "in literal null",
		faultNumber:   "in numeric literal",
		faultFraction: "after decimal point in numeric literal",
		faultExponent: "in exponent of numeric literal",
		faultString:   "in string literal",
		faultEscape:   "in string escape code",
		faultHex:      `in \u hexadecimal character escape`,
		faultName:     "looking for beginning of object key string",
		faultColon:    "after object key",
		faultMember:   "after object key:value pair",
		faultElement:  "after array element",
		faultDepth:    "",
	}[f]
}

// The functions below find the end of a token that begins at a byte. With a
// fault, the end is the byte that is wrong.

// spaceEnd finds the end of white space, perhaps of none.
func spaceEnd(text []byte, at int) int {
	for at < len(text) && text[at] <= ' ' && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// nameEnd finds the end of a member's name and its colon.
func nameEnd(text []byte, at int) (int, fault) {
	if at == len(text) || text[at] != '"' {
		return at, faultName
	}
	at, wrong := stringEnd(text, at)
	if wrong != faultNone {
		return at, wrong
	}
	if at == len(text) || text[at] != ':' {
		if at = spaceEnd(text, at); at == len(text) || text[at] != ':' {
			return at, faultColon
		}
	}
	return at + 1, faultNone
}

// scalarEnd finds the end of a number, true, false or null.
func scalarEnd(text []byte, at int) (int, fault) {
	if at == len(text) {
		return at, faultValue
	}
	switch c := text[at]; {
	case c <= '9':
		return numberEnd(text, at)
	case c == 't':
		return literalEnd(text, at, "true", faultTrue)
	case c == 'f':
		return literalEnd(text, at, "false", faultFalse)
	case c == 'n':
		return literalEnd(text, at, "null", faultNull)
	}
	return at, faultValue
}

func literalEnd(text []byte, at int, literal string, wrong fault) (int, fault) {
	for i := range len(literal) {
		if at == len(text) || text[at] != literal[i] {
			return at, wrong
		}
		at++
	}
	return at, faultNone
}

// numberEnd finds the end of a number.
func numberEnd(text []byte, at int) (int, fault) {
	if text[at] == '-' {
		if at++; at == len(text) || text[at] < '0' || text[at] > '9' {
			return at, faultNumber
		}
	}
	switch c := text[at]; {
	case c == '0':
		at++
	case '1' <= c && c <= '9':
		at = digitsEnd(text, at)
	default:
		return at, faultValue
	}
	if at < len(text) && text[at] == '.' {
		from := at + 1
		if at = digitsEnd(text, from); at == from {
			return at, faultFraction
		}
	}
	if at < len(text) && text[at]|0x20 == 'e' {
		from := at + 1
		if from < len(text) && (text[from] == '+' || text[from] == '-') {
			from++
		}
		if at = digitsEnd(text, from); at == from {
			return at, faultExponent
		}
	}
	return at, faultNone
}

func digitsEnd(text []byte, at int) int {
	for at < len(text) && '0' <= text[at] && text[at] <= '9' {
		at++
	}
	return at
}

// Words of eight equal bytes.
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	spaces = ' ' * ones
	quotes = '"' * ones
	slants = '\\' * ones
)

// stringEnd finds the end of a string. It looks for the next quote, backslash or
// control character in eight bytes at a time: a byte is one of them if a borrow
// reaches its high bit, because it is below a space, or zero once its own pattern
// is taken away. Bytes with the high bit set are none. The lowest hit is exact;
// higher ones may be borrows of it.
func stringEnd(text []byte, at int) (int, fault) {
	at++
	for {
		if len(text)-at < 8 {
			for at < len(text) && text[at] >= ' ' && text[at] != '"' && text[at] != '\\' {
				at++
			}
		} else {
			w := binary.LittleEndian.Uint64(text[at:])
			q, b := w^quotes, w^slants
			hit := ((w - spaces) | (q - ones) | (b - ones)) &^ w & highs
			if hit == 0 {
				at += 8
				continue
			}
			at += bits.TrailingZeros64(hit) / 8
		}
		switch {
		case at == len(text):
			return at, faultString
		case text[at] == '"':
			return at + 1, faultNone
		case text[at] != '\\':
			return at, faultString
		}
		var wrong fault
		if at, wrong = escapeEnd(text, at); wrong != faultNone {
			return at, wrong
		}
	}
}

// escapeEnd finds the end of a backslash and what belongs to it.
func escapeEnd(text []byte, at int) (int, fault) {
	if at++; at == len(text) {
		return at, faultEscape
	}
	switch text[at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at + 1, faultNone
	case 'u':
		for range 4 {
			if at++; at == len(text) || !hexDigit(text[at]) {
				return at, faultHex
			}
		}
		return at + 1, faultNone
	}
	return at, faultEscape
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
