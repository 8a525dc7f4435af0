package spec

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Function is the configuration of one function, complete and checked if it
// came from a [Reader].
type Function struct {
	ID          string // without the app's
	App         string // id of the app that it is served in; empty: the default one
	Name        string // for people; the id where none is written
	Description string

	// What the server is told of it. ID, Name and Steps are left to Register,
	// which knows the app.
	Settings inngest.Function

	Body
	OnFailure *Body // what the second function does; nil: there is none

	At        string // path of the function where it was written, functions[0]
	Published string // URL of the backend whose manifest holds it; empty: a file does
}

// A Body is what a function does. Exactly one of its fields is set.
type Body struct {
	Endpoint     *Backend
	Conversation *Backend
	Steps        *program.Program
}

// A Kind is a way to write a function.
type Kind string

// The kinds of functions, by the key that makes them so.
const (
	KindEndpoint     Kind = "endpoint"
	KindConversation Kind = "conversation"
	KindSteps        Kind = "steps"
)

// Kind returns which field of the body is set.
func (b *Body) Kind() Kind {
	switch {
	case b.Endpoint != nil:
		return KindEndpoint
	case b.Conversation != nil:
		return KindConversation
	}
	return KindSteps
}

// Origins lists scheme and host of every backend that the body calls, sorted.
func (b *Body) Origins() []string {
	switch {
	case b.Endpoint != nil:
		return []string{b.Endpoint.Origin()}
	case b.Conversation != nil:
		return []string{b.Conversation.Origin()}
	case b.Steps != nil:
		return slices.Sorted(slices.Values(b.Steps.Origins()))
	}
	return nil
}

// Sends tells whether the function surely needs an event key: its program, or
// that of its onFailure, sends events.
func (f *Function) Sends() bool {
	return f.Steps != nil && f.Steps.Sends() || f.OnFailure != nil && f.OnFailure.Steps != nil && f.OnFailure.Steps.Sends()
}

// A Backend is where an endpoint or a conversation is.
type Backend struct {
	URL     string        // absolute, http or https, without user and fragment
	Headers []Header      // to send with each request, in order of their names
	Timeout time.Duration // for the whole answer; 0: as long as the app's upstream settings allow
}

// A Header is one field of a request. Its value may be a secret.
type Header struct{ Name, Value string }

// Origin returns scheme and host of the backend.
func (b *Backend) Origin() string {
	u, err := url.Parse(b.URL)
	if err != nil {
		return ""
	}
	return origin(u)
}

// origin writes scheme and host in lower case, as in Program.Origins.
func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// Origins lists scheme and host of every backend of the function, sorted.
func (f *Function) Origins() []string {
	all := f.Body.Origins()
	if f.OnFailure != nil {
		all = append(all, f.OnFailure.Origins()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A Part is one function as the server knows it: what a Function says, or what
// its onFailure does.
type Part struct {
	ID      string // with the app's: what calls name in fnId
	Name    string
	Failure bool // it is the onFailure of the other
	Body    *Body
}

// Parts returns the functions that are registered for f in an app: itself, and
// its onFailure if it has one.
func (f *Function) Parts(app string) []Part {
	parts := []Part{{ID: app + "-" + f.ID, Name: f.Name, Body: &f.Body}}
	if f.OnFailure != nil {
		parts = append(parts, Part{ID: app + "-" + f.ID + failureSuffix, Name: f.Name + " (failure)", Failure: true, Body: f.OnFailure})
	}
	return parts
}

// What SDKs make of onFailure.
const (
	failureSuffix  = "-failure"
	failureEvent   = "inngest/function.failed"
	failureRetries = 1
)

// Register returns what is registered for f in an app: one function for each of
// its parts, as Inngest's JavaScript SDK words it. at is the URL of the app.
func (f *Function) Register(app, at string) []inngest.Function {
	var all []inngest.Function
	for _, part := range f.Parts(app) {
		one := inngest.Function{}
		retries := (*inngest.StepRetries)(nil)
		switch {
		case part.Failure:
			one.Triggers = []inngest.Trigger{{
				Event:      failureEvent,
				Expression: "event.data.function_id == '" + all[0].ID + "'",
			}}
			retries = &inngest.StepRetries{Attempts: failureRetries}
		default:
			one = f.Settings
			if one.Retries != nil {
				retries = &inngest.StepRetries{Attempts: *one.Retries}
			}
		}
		one.ID, one.Name, one.Retries = part.ID, part.Name, nil
		one.Steps = map[string]inngest.Step{inngest.TargetAny: {
			ID:      inngest.TargetAny,
			Name:    inngest.TargetAny,
			Runtime: inngest.Runtime{Type: "http", URL: callURL(at, part.ID)},
			Retries: retries,
		}}
		all = append(all, one)
	}
	return all
}

// callURL adds to an app's URL what tells its functions apart.
func callURL(at, id string) string {
	separator := "?"
	if strings.Contains(at, "?") {
		separator = "&"
	}
	return at + separator + "fnId=" + url.QueryEscape(id) + "&stepId=" + inngest.TargetAny
}
