package expr

import (
	"strings"
	"unicode/utf8"
)

// A piece is a part of a template's text: literal text or an expression.
type piece struct {
	text   string
	isExpr bool
	at     int // byte where text begins
}

// scan cuts a text at its ${…}. $${ becomes ${ in a literal.
func scan(text string) ([]piece, *SyntaxError) {
	var pieces []piece
	var literal strings.Builder
	begin := 0
	flush := func() {
		if literal.Len() > 0 {
			pieces = append(pieces, piece{text: literal.String(), at: begin})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		if literal.Len() == 0 {
			begin = i
		}
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			literal.WriteString("${")
			i += 3
		case strings.HasPrefix(rest, "${"):
			flush()
			end, ok := endOfExpr(text, i+2)
			if !ok {
				return nil, errorAt(text, i, `"${" without a "}" to it; "$${" stands for the characters themselves`)
			}
			inner := text[i+2 : end]
			if strings.TrimSpace(inner) == "" {
				return nil, errorAt(text, i, `an expression between "${" and "}"`)
			}
			pieces = append(pieces, piece{text: inner, isExpr: true, at: i + 2})
			i = end + 1
		default:
			literal.WriteByte(text[i])
			i++
		}
	}
	flush()
	return pieces, nil
}

// endOfExpr returns where the "}" stands that ends the expression that begins
// at from. Braces within the expression's own braces and strings do not count.
func endOfExpr(text string, from int) (int, bool) {
	depth := 0
	for i := from; i < len(text); {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			end, ok := endOfString(text, i, from)
			if !ok {
				return 0, false
			}
			i = end
			continue
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i, true
		case c == '}':
			depth--
		case strings.HasPrefix(text[i:], "//"):
			// a comment of CEL: to the end of the line
			line := strings.IndexByte(text[i:], '\n')
			if line < 0 {
				return 0, false
			}
			i += line
		}
		i++
	}
	return 0, false
}

// endOfString returns the first byte after a string of CEL that begins at i:
// in one or three quotes, raw if an r stands before.
func endOfString(text string, i, from int) (int, bool) {
	raw := isRaw(text[from:i])
	quote := text[i : i+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(text[i:], long) {
		quote = long
	}
	for i += len(quote); i < len(text); {
		switch {
		case text[i] == '\\' && !raw:
			i += 2
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote), true
		default:
			i++
		}
	}
	return 0, false
}

// isRaw tells whether what stands before a quote makes the string raw: r, R,
// and b beside it, as a word of its own.
func isRaw(before string) bool {
	word := before[len(strings.TrimRightFunc(before, isWord)):]
	switch word {
	case "r", "R", "br", "bR", "Br", "BR", "rb", "rB", "Rb", "RB":
		return true
	}
	return false
}

func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// errorAt returns an error at a byte of a text.
func errorAt(text string, at int, message string) *SyntaxError {
	before := text[:at]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return &SyntaxError{Text: text, Line: line, Column: column, Message: message}
}

// within moves an error of an expression to its place in the template.
func within(text string, p piece, err error) *SyntaxError {
	inner, ok := err.(*SyntaxError)
	if !ok {
		return errorAt(text, p.at, err.Error())
	}
	start := errorAt(text, p.at, inner.Message)
	if inner.Line > 1 {
		start.Line, start.Column = start.Line+inner.Line-1, inner.Column
	} else {
		start.Column += inner.Column - 1
	}
	return start
}
