package schema

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// camel makes a type's name of any text: order.created becomes OrderCreated. It
// is a name in each of the languages; without a letter or digit it is empty.
func camel(text string) string {
	var b strings.Builder
	start := true
	for _, r := range text {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)), r > unicode.MaxASCII && unicode.IsLetter(r):
			if start {
				r = unicode.ToUpper(r)
			}
			if b.Len() > 0 && start && unicode.IsDigit(r) && endsInDigit(b.String()) {
				b.WriteByte('_') // 2026-1 is not 20261
			}
			b.WriteRune(r)
			start = false
		default:
			start = true
		}
	}
	return b.String()
}

func endsInDigit(text string) bool {
	return '0' <= text[len(text)-1] && text[len(text)-1] <= '9'
}

// exported makes a camel name one that Go exports and every language takes.
func exported(name, before string) string {
	if name == "" {
		return before
	}
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsUpper(first) {
		return before + name
	}
	return name
}

// names gives every declaration a name of its own.
type names map[string]bool

// newNames begins with what the printed text uses and what languages have.
func newNames() names {
	n := names{}
	for _, name := range strings.Fields(`
		Any Array Boolean Date Error Events EventTypes False Function Literal Map None NotRequired Number Object
		Promise Record Set String Symbol True TypeAlias TypedDict Union`) {
		n[name] = true
	}
	return n
}

// take returns the name, with a number if it is taken.
func (n names) take(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = name + separated(name) + strconv.Itoa(i)
	}
	n[free] = true
	return free
}

func separated(name string) string {
	if endsInDigit(name) {
		return "_"
	}
	return ""
}

// eventType is the name of the type for the data of an event.
func eventType(s Source) string {
	name := exported(camel(s.Name), "Event")
	if s.Version == "" {
		return name
	}
	version := camel(s.Version)
	if rest := strings.TrimPrefix(version, "V"); rest != "" && unicode.IsDigit(rune(rest[0])) {
		version = rest // v2 is 2
	}
	return name + "V" + version
}
