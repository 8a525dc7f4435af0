package deliver

import (
	"bytes"
	"encoding/binary"
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

	// ours tells that Inngest itself says this, whose word on events and keys
	// counts. Proxies, firewalls and portals answer 200, 400 and 403 too.
	ours  bool
	taken int // events from the first on that have ids in the answer
	// ids are those of the events that were taken, if they are others than the
	// seed gives, else nil.
	ids []string
}

// body is the event API's answer. With an error come the ids of the events
// before the bad one, or one empty id; when the key is refused there are none.
type body struct {
	IDs     []string `json:"ids"`
	Status  int      `json:"status"`
	Error   string   `json:"error"`
	Message string   `json:"message"`
}

// ours tells whether a body is Inngest's own. Its answer about events always
// lists ids, at least an empty one, and its answer about a key repeats the
// status beside the error. A lone "error" is what anything in between writes.
func (b *body) ours(status int) bool {
	if len(b.IDs) > 0 {
		return true
	}
	return refusesKey(status) && b.Status == status && b.Error != ""
}

// refusesKey tells whether a status is about the event key.
func refusesKey(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// readAnswer understands an answer to the events of seed.
func readAnswer(status int, h http.Header, text []byte, seed inngest.Seed, now time.Time) answer {
	a := answer{status: status, retryAfter: retryAfter(h.Get(inngest.HeaderRetryAfter), now)}
	expected, rest := expectedIDs(text, seed)
	var b body
	if err := json.Unmarshal(rest, &b); err != nil {
		a.message = plain(text)
		return a
	}
	a.ours = b.ours(status) || expected > 0 && b.IDs == nil
	a.taken = expected
	if b.IDs != nil {
		a.taken, a.ids = compare(b.IDs, seed)
	}
	switch {
	case b.Error != "":
		a.message = plain([]byte(b.Error))
	case b.Message != "":
		a.message = plain([]byte(b.Message))
	case !a.ours:
		a.message = plain(text)
	}
	return a
}

// compare counts the ids before the first empty one, and returns them if they
// are not those of the seed.
func compare(ids []string, seed inngest.Seed) (n int, others []string) {
	same := true
	for n < len(ids) && ids[n] != "" {
		same = same && ids[n] == seed.ID(n+1)
		n++
	}
	if same {
		return n, nil
	}
	return n, ids[:n]
}

// expectedIDs cuts the list of ids off the front of an answer, if it stands
// there as Inngest writes it and has the ids of the seed. The rest is an object
// again: all that is left for encoding/json, which is ten times as slow.
// Without such a list the rest is the whole answer.
func expectedIDs(text []byte, seed inngest.Seed) (n int, rest []byte) {
	const front, quoted = `{"ids":[`, 1 + ulid.EncodedSize + 1
	list, ok := bytes.CutPrefix(text, []byte(front))
	if !ok {
		return 0, text
	}
	id, last := ulid.ULID(append(make([]byte, 6), seed.Entropy[:]...)), seed.Entropy[6:]
	if id.SetTime(seed.Millis) != nil {
		return 0, text
	}
	var want [quoted]byte
	want[0], want[quoted-1] = '"', '"'
	for ; ; n++ {
		binary.BigEndian.PutUint32(id[12:], binary.BigEndian.Uint32(last)+uint32(n+1))
		if id.MarshalTextTo(want[1:quoted-1]) != nil || len(list) < quoted+2 || !bytes.Equal(list[:quoted], want[:]) {
			return 0, text
		}
		end := list[quoted]
		list = list[quoted+1:]
		switch {
		case end == ',':
		case end != ']':
			return 0, text
		case list[0] == ',' && len(list) > 1 && list[1] == '"':
			return n + 1, append([]byte{'{'}, list[1:]...)
		case list[0] == '}':
			return n + 1, append([]byte{'{'}, list...)
		default:
			return 0, text
		}
	}
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
