package events

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Waits that refusals ask for, where nothing better is known.
const (
	retrySoon = time.Second      // memory, a spool that is being started anew, a stop
	retryLate = 10 * time.Second // a full spool, an Inngest that is away
)

// An Answer is what a caller gets, in the shape of Inngest's event API.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	Code        inngest.Code  // why the events were refused, empty if they were not
	RetryAfter  time.Duration // 0: none
}

// An outcome is what became of a request; a metric's label.
type outcome string

const (
	outcomeTaken       outcome = "taken"       // by Inngest or, in mode durable, by the spool
	outcomeSpooled     outcome = "spooled"     // because Inngest did not take it
	outcomeRepeated    outcome = "repeated"    // answered from what was remembered
	outcomeInvalid     outcome = "invalid"     // refused by the gateway
	outcomeRefused     outcome = "refused"     // refused by Inngest
	outcomeLimited     outcome = "limited"     // over the rate of its key
	outcomeUnavailable outcome = "unavailable" // neither Inngest nor the spool took it
)

func outcomes() []outcome {
	return []outcome{outcomeTaken, outcomeSpooled, outcomeRepeated, outcomeInvalid, outcomeRefused, outcomeLimited, outcomeUnavailable}
}

// A failure is why events went nowhere: their callers have to send them again.
type failure struct {
	code       inngest.Code
	message    string
	retryAfter time.Duration
}

func (f *failure) answer() Answer {
	status := f.code.Status()
	if status == http.StatusUnauthorized {
		return Answer{Status: status, ContentType: intake.UnknownType, Body: intake.AppendUnknownKey(nil, status, f.message), Code: f.code}
	}
	return Answer{Status: status, ContentType: intake.AnswerType, Body: intake.AppendRefused(nil, status, f.message), Code: f.code, RetryAfter: f.retryAfter}
}

func accepted(ids []string) Answer {
	body := make([]byte, 0, 32+29*max(len(ids), 1))
	return Answer{Status: http.StatusOK, ContentType: intake.AnswerType, Body: intake.AppendAccepted(body, ids)}
}

// invalid answers events that Inngest would refuse, or that a schema does.
func invalid(err *intake.Error) Answer {
	code := inngest.CodeEventInvalid
	if err.Status == http.StatusRequestEntityTooLarge {
		code = inngest.CodeBodyTooLarge
	}
	return Answer{Status: err.Status, ContentType: intake.AnswerType, Body: intake.AppendRefused(nil, err.Status, err.Error()), Code: code}
}

// refused answers a request of which Inngest has refused events. As in the
// server's own answers the ids of those that were taken are there.
func refused(ids []string, all []deliver.Refusal) Answer {
	var text strings.Builder
	for i, one := range all {
		if i == maxNamed {
			fmt.Fprintf(&text, "; and %d more", len(all)-i)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "%s (event %d, refused by Inngest with %d)", one.Message, one.Index, one.Status)
	}
	for _, one := range all {
		ids[one.Index] = ""
	}
	if taken := len(ids) - len(all); taken > 0 {
		fmt.Fprintf(&text, "; the other events of the request were taken: %d", taken)
	}
	status := http.StatusBadRequest
	if s := all[0].Status; s >= 400 && s <= 499 && s != http.StatusTooManyRequests {
		status = s
	}
	return Answer{Status: status, ContentType: intake.AnswerType, Body: appendRefused(nil, ids, status, text.String()), Code: inngest.CodeEventRefused}
}

// maxNamed bounds the refused events that one answer tells of.
const maxNamed = 10

// appendRefused is intake.AppendRefused with ids, which need no escapes.
func appendRefused(dst []byte, ids []string, status int, message string) []byte {
	const none = `{"ids":[""]`
	dst = append(dst, `{"ids":["`...)
	dst = append(dst, strings.Join(ids, `","`)...)
	dst = append(dst, `"]`...)
	return append(dst, intake.AppendRefused(nil, status, message)[len(none):]...)
}

// failures of one kind each.

func failClosed() *failure {
	return &failure{inngest.CodeDraining, "the gateway stops; the events were not taken, send them again", retrySoon}
}

func failMemory(limit int64) *failure {
	return &failure{inngest.CodeMemoryExhausted,
		fmt.Sprintf("the gateway holds all the events it may (events.memory, %d bytes); the events were not taken, send them again", limit), retrySoon}
}

func failCanceled() *failure {
	return &failure{inngest.CodeCallCanceled, "the request was given up before the events were taken", 0}
}

func failKey() *failure {
	return &failure{inngest.CodeUnauthorized, "Event key not found", 0}
}

func failStore(err error) *failure {
	switch {
	case errors.Is(err, spool.ErrFull):
		return &failure{inngest.CodeSpoolFull,
			"Inngest does not take events now and the gateway's spool is full (events.spool.max_bytes, or its disk); the events were not taken, send them again", retryLate}
	case errors.Is(err, errNotKeepable):
		return &failure{inngest.CodeSpoolUnavailable,
			"Inngest does not take events now, and under a key that is not in the gateway's configuration they cannot be kept; send them again", retryLate}
	}
	return &failure{inngest.CodeSpoolUnavailable,
		"the gateway's spool cannot store events now; they may have to be sent again", retrySoon}
}

func failAway(err error, retryAfter time.Duration) *failure {
	if errors.Is(err, deliver.ErrKeyRefused) {
		return failKey()
	}
	if retryAfter <= 0 {
		retryAfter = retryLate
	}
	return &failure{inngest.CodeInngestUnavailable, "Inngest does not take events now; send them again", retryAfter}
}
