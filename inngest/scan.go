package inngest

// Bounds of ScanIdentity. A run has a thousand steps at most, and each puts 43
// bytes into ctx.stack.
const (
	maxScan     = 128 << 10 // bytes of the body that are looked at
	maxScanID   = 256       // bytes of one id
	maxScanNest = 8         // levels of nesting inside ctx
)

// ScanIdentity finds the identity of a call request in its signed body without
// parsing the rest of it. Canonical JSON puts ctx first, so it reads ctx and
// nothing else. It returns false for anything that is not plainly in canonical
// order: ctx not the first member, white space, an escaped, unsorted or
// repeated name in ctx, a name that another parser might take for one of ours
// in another letter case, a value of another type, no run id. What follows ctx
// is the signature's matter.
func ScanIdentity(body []byte) (Identity, bool) {
	s := scanner{text: body}
	if len(body) > maxScan {
		s.text = body[:maxScan]
	}
	if !s.literal(`{"ctx":{`) {
		return Identity{}, false
	}
	var f identityFields
	var last []byte
	for more := !s.literal("}"); more; {
		name, ok := s.plainString()
		if !ok || last != nil && string(name) <= string(last) || !s.literal(":") {
			return Identity{}, false
		}
		last = name
		if !f.read(&s, name) {
			return Identity{}, false
		}
		switch {
		case s.literal(","):
		case s.literal("}"):
			more = false
		default:
			return Identity{}, false
		}
	}
	if len(f.run) == 0 || !s.endOfCtx(len(body)) {
		return Identity{}, false
	}
	return f.identity(), true
}

// endOfCtx tells whether the text goes on as a canonical object does whose
// first member was ctx: its end, or a member with a greater name.
func (s *scanner) endOfCtx(whole int) bool {
	if s.literal("}") {
		return s.at == whole
	}
	if !s.literal(",") {
		return false
	}
	name, ok := s.plainString()
	return ok && string(name) > "ctx" && s.literal(":")
}

// identityFields are the parts of an identity, still inside the body.
type identityFields struct {
	run, function, job, request, step []byte
	generation, attempt, maxAttempts  int
	useAPI                            bool
}

// read reads the value of the member with that name. ctx holds only the last
// of two members with one name, and encoding/json takes RUN_ID for run_id, so
// a name that is ours but for its letter case is refused.
func (f *identityFields) read(s *scanner, name []byte) (ok bool) {
	switch string(name) {
	case "attempt":
		f.attempt, ok = s.count()
	case "fn_id":
		f.function, ok = s.id()
	case "generation_id":
		f.generation, ok = s.count()
	case "job_id":
		f.job, ok = s.id()
	case "max_attempts":
		f.maxAttempts, ok = s.count()
	case "request_id":
		f.request, ok = s.id()
	case "run_id":
		f.run, ok = s.id()
	case "step_id":
		f.step, ok = s.id()
	case "use_api":
		f.useAPI = s.literal("true")
		ok = f.useAPI || s.literal("false")
	default:
		ok = lowerCase(name) && s.skip(maxScanNest)
	}
	return ok
}

// lowerCase tells whether no other spelling of name differs from it by letter
// case alone and sorts before it: every name of ctx is ASCII in lower case.
func lowerCase(name []byte) bool {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' || c >= 0x80 {
			return false
		}
	}
	return true
}

// identity copies the fields out of the body, all texts in one allocation.
func (f *identityFields) identity() Identity {
	var room [5 * maxScanID]byte
	all := room[:0]
	for _, id := range [...][]byte{f.run, f.function, f.job, f.request, f.step} {
		all = append(all, id...)
	}
	texts := string(all)
	take := func(id []byte) string {
		text := texts[:len(id)]
		texts = texts[len(id):]
		return text
	}
	return Identity{
		RunID:       take(f.run),
		FunctionID:  take(f.function),
		JobID:       take(f.job),
		RequestID:   take(f.request),
		StepID:      take(f.step),
		Generation:  f.generation,
		Attempt:     f.attempt,
		MaxAttempts: f.maxAttempts,
		UseAPI:      f.useAPI,
	}
}

// A scanner reads JSON without white space from left to right.
type scanner struct {
	text []byte
	at   int
}

// literal takes the text if it comes next.
func (s *scanner) literal(text string) bool {
	if len(s.text)-s.at < len(text) || string(s.text[s.at:s.at+len(text)]) != text {
		return false
	}
	s.at += len(text)
	return true
}

// plainString reads a string of printable ASCII without escapes and returns
// what is inside the quotes.
func (s *scanner) plainString() ([]byte, bool) {
	if !s.literal(`"`) {
		return nil, false
	}
	rest := s.text[s.at:]
	for i, c := range rest {
		if c == '"' {
			s.at += i + 1
			return rest[:i], true
		}
		if c < ' ' || c > '~' || c == '\\' {
			return nil, false
		}
	}
	return nil, false
}

// id reads a plain string of bounded length.
func (s *scanner) id() ([]byte, bool) {
	text, ok := s.plainString()
	return text, ok && len(text) <= maxScanID
}

// count reads a whole number from 0 to 999,999,999 as canonical JSON writes it.
func (s *scanner) count() (n int, ok bool) {
	from := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		if s.at-from == 9 {
			return 0, false
		}
		n = n*10 + int(s.text[s.at]-'0')
		s.at++
	}
	digits := s.at - from
	return n, digits == 1 || digits > 1 && s.text[from] != '0'
}

// skip reads any value with at most that many levels of nesting.
func (s *scanner) skip(levels int) bool {
	if s.at >= len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '"':
		return s.skipString()
	case '{':
		return levels > 0 && s.skipList("{", "}", func() bool {
			return s.skipString() && s.literal(":") && s.skip(levels-1)
		})
	case '[':
		return levels > 0 && s.skipList("[", "]", func() bool { return s.skip(levels - 1) })
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.skipNumber()
	}
}

// skipList reads items between two brackets with commas between them.
func (s *scanner) skipList(open, end string, item func() bool) bool {
	if !s.literal(open) {
		return false
	}
	if s.literal(end) {
		return true
	}
	for item() {
		if s.literal(end) {
			return true
		}
		if !s.literal(",") {
			return false
		}
	}
	return false
}

// skipString reads a string with any content that JSON allows.
func (s *scanner) skipString() bool {
	if !s.literal(`"`) {
		return false
	}
	for {
		rest := s.text[s.at:]
		i := 0
		for i < len(rest) && rest[i] >= ' ' && rest[i] != '"' && rest[i] != '\\' {
			i++
		}
		if i == len(rest) || rest[i] < ' ' {
			return false
		}
		s.at += i + 1
		if rest[i] == '"' {
			return true
		}
		if !s.skipEscape() {
			return false
		}
	}
}

// skipEscape reads what follows a backslash.
func (s *scanner) skipEscape() bool {
	if s.at >= len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.at >= len(s.text) || !hexDigit(s.text[s.at]) {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// skipNumber reads a number.
func (s *scanner) skipNumber() bool {
	s.literal("-")
	if !s.literal("0") && s.digits() == 0 {
		return false
	}
	if s.literal(".") && s.digits() == 0 {
		return false
	}
	if s.literal("e") || s.literal("E") {
		if !s.literal("+") {
			s.literal("-")
		}
		return s.digits() > 0
	}
	return true
}

// digits reads decimal digits and returns how many there were.
func (s *scanner) digits() int {
	from := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - from
}
