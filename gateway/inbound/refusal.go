package inbound

import (
	"fmt"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// drainRetryAfter is said by a gateway that goes away: another one, or its
// successor, is there in a moment.
const drainRetryAfter = 5 * time.Second

// A refusal is why the gateway itself answers a request.
type refusal struct {
	code    inngest.Code
	detail  string        // the cause, one sentence; what happens next is added where somebody waits
	limit   string        // the limit that was hit, and
	setting string        // its setting
	allow   string        // methods, of a 405
	retry   bool          // Inngest calls again
	after   time.Duration // when it should, where that is known
	cause   error         // for the log alone
	end     string        // endpoint that answered, if one did
}

func malformed(reason string) *refusal {
	return &refusal{
		code:   inngest.CodeMalformedRequest,
		detail: "The request is not passed on, two parsers could read it in two ways: " + reason + ".",
	}
}

func badVersion(version string) *refusal {
	return &refusal{
		code:   inngest.CodeVersionNotSupported,
		detail: "The gateway speaks HTTP/1.1 and HTTP/1.0, not HTTP/" + version + ".",
	}
}

func tooLarge(code inngest.Code, what string, limit int64, setting string) *refusal {
	return &refusal{
		code:    code,
		detail:  fmt.Sprintf("%s, the limit is %s (%s).", what, size(limit), setting),
		limit:   size(limit),
		setting: setting,
	}
}

func headTooLarge(limit int) *refusal {
	return tooLarge(inngest.CodeHeadTooLarge, "The head of the request is too large", int64(limit), "limits.head")
}

func uriTooLong(length, limit int) *refusal {
	return tooLarge(inngest.CodeURITooLong, fmt.Sprintf("The request target has %d bytes or more", length), int64(limit), "limits.uri")
}

func bodyTooLarge(what string, limit int64) *refusal {
	return tooLarge(inngest.CodeBodyTooLarge, what, limit, "limits.body")
}

func bodyTooSlow(rate int64) *refusal {
	return &refusal{
		code:    inngest.CodeBodyTooSlow,
		detail:  fmt.Sprintf("The body arrives with less than %s a second (limits.body_min_rate).", size(rate)),
		limit:   size(rate),
		setting: "limits.body_min_rate",
	}
}

func memoryExhausted(limit int64, cause error) *refusal {
	return &refusal{
		code: inngest.CodeMemoryExhausted, retry: true, cause: cause,
		detail:  fmt.Sprintf("The gateway holds as many bodies as it may, %s (limits.memory), and none went away in time.", size(limit)),
		limit:   size(limit),
		setting: "limits.memory",
	}
}

func tooManyConnections(limit int) *refusal {
	return &refusal{
		code: inngest.CodeTooManyConnections, retry: true,
		detail:  fmt.Sprintf("The gateway has %d connections, its limit (limits.connections), and none of them is idle.", limit),
		limit:   strconv.Itoa(limit),
		setting: "limits.connections",
	}
}

func unsigned(code inngest.Code, detail string) *refusal {
	return &refusal{code: code, detail: detail}
}

func unknownPath() *refusal {
	return &refusal{code: inngest.CodeUnknownPath, detail: "No app has this path at the gateway (apps[].path)."}
}

func methodNotAllowed(allow string) *refusal {
	return &refusal{
		code: inngest.CodeMethodNotAllowed, allow: allow,
		detail: "This path takes " + allow + " only.",
	}
}

func internal(cause error) *refusal {
	return &refusal{
		code: inngest.CodeInternal, retry: true, cause: cause,
		detail: "The gateway failed inside; its log says more.",
	}
}

func draining(cause error) *refusal {
	return &refusal{
		code: inngest.CodeDraining, retry: true, cause: cause,
		detail: "The gateway is going away and did not wait for the app any longer.",
	}
}

// answer makes the answer of a refusal. It never has an SDK's header, so that
// Inngest shows it as it is, and never forbids a retry.
func (r *refusal) answer(x *exchange) *call.Answer {
	a := &call.Answer{Status: r.code.Status(), Code: r.code, Cause: r.cause, Endpoint: r.end}
	a.Set("Content-Type", inngest.ContentTypeProblem)
	a.Set("Cache-Control", "no-store")
	a.Set(inngest.HeaderGatewayError, string(r.code))
	if r.allow != "" {
		a.Set("Allow", r.allow)
	}
	detail := r.detail
	if r.retry && x.kind.waits() {
		wait := x.retryAfter(r)
		a.Set(inngest.HeaderRetryAfter, strconv.FormatInt(int64(wait/time.Second), 10))
		detail += " " + x.whatNext(wait)
	}
	a.Body = inngest.Problem{Detail: detail, Status: a.Status, Code: r.code, Limit: r.limit, Setting: r.setting}.Body()
	return a
}

// whatNext says what Inngest does with the run now.
func (x *exchange) whatNext(wait time.Duration) string {
	id := &x.call.Identity
	switch left := id.MaxAttempts - 1 - id.Attempt; {
	case id.MaxAttempts <= 0:
		return "Inngest tries again in " + spoken(wait) + "."
	case left <= 0:
		return fmt.Sprintf("This was the last of %d attempts, Inngest does not try again.", id.MaxAttempts)
	default:
		return fmt.Sprintf("Inngest tries again in %s, %d of %d attempts are left.", spoken(wait), left, id.MaxAttempts)
	}
}

// spoken writes a time to wait with its two leading units.
func spoken(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	default:
		return fmt.Sprintf("%d s", s)
	}
}

// size writes a number of bytes as the configuration has it.
func size(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "GiB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "KiB"
	default:
		return strconv.FormatInt(n, 10) + "B"
	}
}
