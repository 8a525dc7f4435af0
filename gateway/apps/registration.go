package apps

import (
	"context"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Registration is a POST of /fn/register: as an app sent it, or as the
// gateway sends it on.
type Registration struct {
	Query  string      // raw query without "?"; SDKs put deployId there
	Header http.Header // of the request; credentials in it are ignored
	Body   []byte      // inngest.RegisterRequest
	From   string      // id of the app whose local token came with it; empty where the token names no app
}

// A Result is the answer to a [Registration], as it goes to the app.
type Result struct {
	Status int
	Header http.Header
	Body   []byte
	Code   inngest.Code // set where the gateway itself made the answer
}

// A Registrar posts registrations to one Inngest server and adds the
// credentials. It must be comparable: what the gateway learns about a server
// is kept by it. An error means that there was no answer.
type Registrar interface {
	Register(ctx context.Context, r Registration) (Result, error)
}

// A Put is a sync request on the path of an app.
type Put struct {
	App        string // id of the app
	Signed     bool   // its signature was verified
	Body       []byte // inngest.SyncRequest, or anything if unsigned
	Query      string // raw query without "?"
	SyncKind   string // value of X-Inngest-Sync-Kind
	ServerKind string // value of X-Inngest-Server-Kind
}
