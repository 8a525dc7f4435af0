// Package sdkapp is an app on the Go SDK, unmodified, with one function of every
// kind that the gateway has to carry. It is the app behind the gateway in tests;
// driving it is left to the tests. test/node/app.mjs has the same functions on
// the JavaScript SDK.
package sdkapp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/pkg/checkpoint"
)

// Options configures an app. What is left empty is empty for the SDK as well:
// the process's INNGEST_ variables are not read.
type Options struct {
	ID                 string // the app's id
	Prefix             string // of the names of the events that trigger its functions, "g/"
	BaseURL            string // where the SDK sends registrations, checkpoints and events: the gateway's apps listener
	SigningKey         string
	SigningKeyFallback string
	EventKey           string
	Dev                bool // run without verification
	Checkpoint         bool // report each step as it ends instead of once a call
	OnStep             func(Step)
	Log                *slog.Logger
}

// A Step is one execution of a step's code, which must happen once a step and
// attempt however often its function is called.
type Step struct {
	Run      string `json:"run"`
	Function string `json:"fn"`
	Step     string `json:"step"`
	Attempt  int    `json:"attempt"`
}

// New makes the app's handler, to be mounted on its path, /api/inngest.
func New(o Options) (http.Handler, error) {
	if o.ID == "" || o.BaseURL == "" || o.Log == nil || o.OnStep == nil {
		return nil, errors.New("sdkapp: id, base URL, step observer and logger are needed")
	}
	opts := inngestgo.ClientOpts{
		AppID:              o.ID,
		EventKey:           &o.EventKey,
		Env:                new(string),
		Logger:             o.Log,
		SigningKey:         &o.SigningKey,
		SigningKeyFallback: &o.SigningKeyFallback,
		APIBaseURL:         &o.BaseURL,
		EventAPIBaseURL:    &o.BaseURL,
		Dev:                &o.Dev,
	}
	if o.Checkpoint {
		opts.Checkpoint = checkpoint.ConfigSafe
	}
	client, err := inngestgo.NewClient(opts)
	if err != nil {
		return nil, fmt.Errorf("sdkapp: %w", err)
	}
	a := app{client: client, prefix: o.Prefix, id: o.ID, onStep: o.OnStep}
	if err := a.register(); err != nil {
		return nil, fmt.Errorf("sdkapp: %w", err)
	}
	unsigned := false
	return client.ServeWithOpts(inngestgo.ServeOpts{EnableUnauthedSync: &unsigned}), nil
}
