package signature

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errEscape    = errors.New("unknown escape")
	errControl   = errors.New("control character in a string")
	errSurrogate = errors.New("lone surrogate")
	errUTF8      = errors.New("invalid UTF-8")
	errNumber    = errors.New("not a number, or one that no float64 holds")
)

// string reads a string and writes it in its canonical spelling: as it is, but
// for quotes, backslashes and control characters. It tells whether it wrote
// any escape.
func (c *canonicaliser) string() (escaped bool, err error) {
	c.flat = append(c.flat, '"')
	c.at++
	for {
		run, err := plainRun(c.in[c.at:])
		c.flat = append(c.flat, c.in[c.at:c.at+run]...)
		c.at += run
		if err != nil {
			return escaped, err
		}
		if c.at >= len(c.in) {
			return escaped, errEnd
		}
		c.at++
		if c.in[c.at-1] == '"' {
			c.flat = append(c.flat, '"')
			return escaped, nil
		}
		r, err := c.escape()
		if err != nil {
			return escaped, err
		}
		if r < ' ' || r == '"' || r == '\\' {
			escaped = true
		}
		c.flat = appendRune(c.flat, r)
	}
}

// plainRun returns how many bytes stand before the next quote or backslash, or
// the end.
func plainRun(text []byte) (int, error) {
	for i := 0; i < len(text); {
		switch b := text[i]; {
		case b == '"' || b == '\\':
			return i, nil
		case b < ' ':
			return i, errControl
		case b < utf8.RuneSelf:
			i++
		default:
			_, size := utf8.DecodeRune(text[i:])
			if size == 1 {
				return i, errUTF8
			}
			i += size
		}
	}
	return len(text), nil
}

// escape reads what follows a backslash; a pair of surrogates is one character.
func (c *canonicaliser) escape() (rune, error) {
	if c.at >= len(c.in) {
		return 0, errEnd
	}
	c.at++
	switch b := c.in[c.at-1]; b {
	case '"', '\\', '/':
		return rune(b), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := c.codeUnit()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if c.at+1 >= len(c.in) || c.in[c.at] != '\\' || c.in[c.at+1] != 'u' {
			return 0, errSurrogate
		}
		c.at += 2
		low, err := c.codeUnit()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, errSurrogate
		}
		return r, nil
	}
	return 0, errEscape
}

// codeUnit reads four hex digits.
func (c *canonicaliser) codeUnit() (rune, error) {
	if len(c.in)-c.at < 4 {
		return 0, errEnd
	}
	n, err := strconv.ParseUint(string(c.in[c.at:c.at+4]), 16, 16)
	if err != nil {
		return 0, errEscape
	}
	c.at += 4
	return rune(n), nil
}

// appendRune appends a character as a canonical string has it.
func appendRune(out []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\b':
		return append(out, `\b`...)
	case '\f':
		return append(out, `\f`...)
	case '\n':
		return append(out, `\n`...)
	case '\r':
		return append(out, `\r`...)
	case '\t':
		return append(out, `\t`...)
	}
	if r < ' ' {
		const hex = "0123456789abcdef"
		return append(out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
	}
	return utf8.AppendRune(out, r)
}

// decoded copies a canonical string without its escapes to c.names.
func (c *canonicaliser) decoded(text span) span {
	start := len(c.names)
	d := canonicaliser{in: c.flat, at: int(text.start)}
	for d.at < int(text.end) {
		b := d.in[d.at]
		d.at++
		if b != '\\' {
			c.names = append(c.names, b)
			continue
		}
		r, _ := d.escape() // of our own making
		c.names = utf8.AppendRune(c.names, r)
	}
	return span{int32(start), int32(len(c.names)), true}
}

// number reads a number and writes it as ECMAScript does.
func (c *canonicaliser) number() error {
	text, whole := numberText(c.in[c.at:])
	if len(text) == 0 {
		return errValue
	}
	c.at += len(text)
	if whole && len(text) <= 15 && text[0] != '-' {
		c.flat = append(c.flat, text...) // exact in a float64, and written as it is
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return errNumber
	}
	c.flat = appendNumber(c.flat, f)
	return nil
}

// numberText returns the number at the start of the text, empty if there is
// none, and whether it has neither fraction nor exponent.
func numberText(text []byte) (number []byte, whole bool) {
	i := 0
	if i < len(text) && text[i] == '-' {
		i++
	}
	end := digitsEnd(text, i)
	if end == i || text[i] == '0' && end > i+1 {
		return nil, false
	}
	i, whole = end, true
	if i < len(text) && text[i] == '.' {
		end, whole = digitsEnd(text, i+1), false
		if end == i+1 {
			return nil, false
		}
		i = end
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		end, whole = digitsEnd(text, i), false
		if end == i {
			return nil, false
		}
		i = end
	}
	return text[:i], whole
}

// digitsEnd returns where the digits that begin at i end.
func digitsEnd(text []byte, i int) int {
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}

// appendNumber appends the shortest text that reads as f, with an exponent
// below 1e-6 and from 1e21 on; there is one zero.
func appendNumber(out []byte, f float64) []byte {
	if f == 0 {
		return append(out, '0')
	}
	if abs := max(f, -f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(out, f, 'f', -1, 64)
	}
	out = strconv.AppendFloat(out, f, 'e', -1, 64)
	// ECMAScript writes e-7 where Go writes e-07.
	if n := len(out); out[n-4] == 'e' && out[n-2] == '0' {
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}
