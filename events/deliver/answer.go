package deliver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	// What a message of an answer may have: it goes to logs, dead letters and
	// callers.
	maxMessageBytes = 300
	// The longest wait that an answer can ask for. A spooled event has about a
	// day, so a senseless date must not take all of it.
	maxRetryAfter = time.Hour
)

// An answer is what the event API said to one POST.
type answer struct {
	status     int
	retryAfter time.Duration // 0: not asked for
	message    string        // for people

	// ours tells that the body has the shape of the event API, whose word on
	// events counts. Proxies and portals answer 200 and 400 too.
	ours  bool
	taken int // events from the first on that have ids in the answer
	// ids are those of the events that were taken, if they are others than the
	// seed gives, else nil.
	ids []string
}

// body is the event API's answer. With an error come the ids of the events
// before the bad one, or one empty id.
type body struct {
	IDs     idList  `json:"ids"`
	Error   *string `json:"error"`
	Message string  `json:"message"`
}

// idList keeps the array as it came: it is compared, seldom copied.
type idList []byte

// UnmarshalJSON keeps the text.
func (l *idList) UnmarshalJSON(text []byte) error {
	*l = append((*l)[:0], text...)
	return nil
}

// readAnswer understands an answer to the events of seed.
func readAnswer(status int, h http.Header, text []byte, seed inngest.Seed, now time.Time) answer {
	a := answer{status: status, retryAfter: retryAfter(h.Get(inngest.HeaderRetryAfter), now)}
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		a.message = plain(text)
		return a
	}
	a.ours = len(b.IDs) > 0 && b.IDs[0] == '[' || b.Error != nil
	switch {
	case b.Error != nil && *b.Error != "":
		a.message = plain([]byte(*b.Error))
	case b.Message != "":
		a.message = plain([]byte(b.Message))
	case !a.ours:
		a.message = plain(text)
	}
	a.taken, a.ids = b.IDs.compare(seed)
	return a
}

// compare counts the ids before the first empty one, and returns them all if
// they are not those of the seed.
func (l idList) compare(seed inngest.Seed) (n int, others []string) {
	const quoted = 1 + ulid.EncodedSize + 1
	rest := bytes.TrimLeft(l, "[ \t\r\n")
	for len(rest) >= quoted && rest[0] == '"' && rest[quoted-1] == '"' && seedGives(seed, n+1, rest[1:quoted-1]) {
		n++
		rest = bytes.TrimLeft(rest[quoted:], ", \t\r\n")
	}
	if len(rest) == 0 || rest[0] == ']' {
		return n, nil
	}
	var ids []string
	if json.Unmarshal(l, &ids) != nil {
		return n, nil // some id is no text: what came before it counts
	}
	for i, id := range ids {
		if id == "" {
			ids = ids[:i]
			break
		}
	}
	if len(ids) == n {
		return n, nil
	}
	return len(ids), ids
}

// seedGives compares without making a text of the seed's id.
func seedGives(seed inngest.Seed, n int, text []byte) bool {
	var id ulid.ULID
	if id.UnmarshalText(text) != nil {
		return false
	}
	want := seed.From(n + 1) // the n-th id has the entropy plus n
	return id.Time() == want.Millis && bytes.Equal(id[6:], want.Entropy[:])
}

// plain makes one short line of text.
func plain(text []byte) string {
	if len(text) > maxMessageBytes {
		text = append(text[:maxMessageBytes:maxMessageBytes], "…"...)
	}
	line := strings.ToValidUTF8(string(text), "")
	return strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

// retryAfter reads whole seconds, an HTTP date or an ISO date; 0 for anything
// else and for what has passed.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	} else if at, err := time.Parse(time.RFC3339, text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
