package intake

import (
	"bytes"
	"fmt"
	"strconv"
)

// maxDepth is how deep encoding/json, and so the server, lets values nest.
const maxDepth = 10_000

// A scanner reads JSON from left to right as encoding/json does: bytes that are
// no UTF-8 are allowed in strings, names may repeat. It keeps no copy and makes
// no garbage. A method that returns false has set err.
type scanner struct {
	text []byte
	at   int
	err  *Error

	// narrow demands numbers that fit a 64-bit float. The server decodes data and
	// user into floats and refuses 1e400; elsewhere it looks at the grammar only.
	narrow bool

	// objects has a bit for each level of nesting: set for an object.
	objects [maxDepth/64 + 1]uint64
}

// failAt notes a fault at a byte. The words are encoding/json's.
func (s *scanner) failAt(at int, wrong fault) bool {
	s.at = at
	if wrong == faultDepth {
		s.err = eventError("", RuleSyntax, "values nest deeper than %d levels, at byte %d", maxDepth, at)
		return false
	}
	return s.fail(wrong.where())
}

// fail notes a syntax error at the current byte.
func (s *scanner) fail(where string) bool {
	if s.at >= len(s.text) {
		s.err = eventError("", RuleSyntax, "unexpected end of JSON input %s", where)
		return false
	}
	s.err = eventError("", RuleSyntax, "invalid character %s %s, at byte %d", quoteByte(s.text[s.at]), where, s.at)
	return false
}

func quoteByte(c byte) string {
	switch {
	case c == '\'':
		return `'\''`
	case c < ' ' || c > '~':
		return fmt.Sprintf("0x%02x", c)
	}
	return "'" + string(rune(c)) + "'"
}

// space passes over white space and tells whether anything follows.
func (s *scanner) space() bool {
	s.at = spaceEnd(s.text, s.at)
	return s.at < len(s.text)
}

// peek passes over white space and returns the next byte, 0 at the end. A zero
// byte is no JSON either.
func (s *scanner) peek() byte {
	s.at = spaceEnd(s.text, s.at)
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// skip passes over one value that stands inside depth levels of others. This is
// where the time goes, so it keeps its place in local variables.
func (s *scanner) skip(depth int) bool {
	text, at, base := s.text, s.at, depth
	var wrong fault
	for {
		if at = spaceEnd(text, at); at == len(text) {
			return s.failAt(at, faultValue)
		}
		switch c := text[at]; c {
		case '"':
			if at, wrong = stringEnd(text, at); wrong != faultNone {
				return s.failAt(at, wrong)
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return s.failAt(at, faultDepth)
			}
			object := c == '{'
			s.setObject(depth, object)
			at = spaceEnd(text, at+1)
			switch {
			case at < len(text) && text[at] == c+2: // } is { + 2, ] is [ + 2
				at++
				depth--
			case !object:
				continue
			default:
				if at, wrong = nameEnd(text, at); wrong != faultNone {
					return s.failAt(at, wrong)
				}
				continue
			}
		default:
			from := at
			if at, wrong = scalarEnd(text, at); wrong != faultNone {
				return s.failAt(at, wrong)
			}
			if s.narrow && c <= '9' && !s.fitsFloat(text[from:at], from) {
				return false
			}
		}
		for { // what follows a value: ends, then a comma and in an object a name
			if depth == base {
				s.at = at
				return true
			}
			at = spaceEnd(text, at)
			object := s.isObject(depth)
			switch {
			case at < len(text) && text[at] == ',':
				at++
				if object {
					if at, wrong = nameEnd(text, spaceEnd(text, at)); wrong != faultNone {
						return s.failAt(at, wrong)
					}
				}
			case at < len(text) && (text[at] == '}' && object || text[at] == ']' && !object):
				at++
				depth--
				continue
			case object:
				return s.failAt(at, faultMember)
			default:
				return s.failAt(at, faultElement)
			}
			break
		}
	}
}

func (s *scanner) setObject(depth int, object bool) {
	if bit := uint64(1) << (depth % 64); object {
		s.objects[depth/64] |= bit
	} else {
		s.objects[depth/64] &^= bit
	}
}

func (s *scanner) isObject(depth int) bool {
	return s.objects[depth/64]&(1<<(depth%64)) != 0
}

// fitsFloat refuses a number that a 64-bit float cannot hold. Fewer than 300
// characters without an exponent always fit, so parsing is rare.
func (s *scanner) fitsFloat(number []byte, at int) bool {
	exponent := false
	for _, c := range number {
		exponent = exponent || c|0x20 == 'e'
	}
	if len(number) < 300 && !exponent {
		return true
	}
	if _, err := strconv.ParseFloat(string(number), 64); err != nil {
		s.err = eventError("", RuleNumber, "number %s at byte %d does not fit a 64-bit float", shorten(number), at)
		return false
	}
	return true
}

// string passes over a string whose opening quote is the current byte.
func (s *scanner) string() bool { return s.take(stringEnd(s.text, s.at)) }

// scalar passes over a number, true, false or null.
func (s *scanner) scalar() bool { return s.take(scalarEnd(s.text, s.at)) }

// name passes over a member's name and its colon.
func (s *scanner) name() bool { return s.take(nameEnd(s.text, s.at)) }

func (s *scanner) take(end int, wrong fault) bool {
	if wrong != faultNone {
		return s.failAt(end, wrong)
	}
	s.at = end
	return true
}

// open passes over the opening brace that is the current byte, over the first
// name and its colon. It returns the inside of the name. Without a member, and
// after a failure, more is false.
//
//	for name, more := s.open(); more; name, more = s.next() {
//		// read the value
//	}
//	return s.err == nil
func (s *scanner) open() (inside []byte, more bool) {
	s.at++
	if s.peek() == '}' {
		s.at++
		return nil, false
	}
	return s.inside()
}

// next does after a member's value what open does at the beginning.
func (s *scanner) next() (inside []byte, more bool) {
	switch s.peek() {
	case ',':
		s.at++
		return s.inside()
	case '}':
		s.at++
		return nil, false
	}
	return nil, s.failAt(s.at, faultMember)
}

func (s *scanner) inside() (inside []byte, more bool) {
	s.peek()
	from := s.at + 1
	if !s.name() {
		return nil, false
	}
	inside = s.text[from:s.at]
	return inside[:bytes.LastIndexByte(inside, '"')], true
}

// shorten makes a piece of a request fit to be shown.
func shorten(text []byte) string {
	const most = 60
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "…"
}
