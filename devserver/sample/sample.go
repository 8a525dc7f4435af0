// Package sample is a tiny Inngest app on the standard library: three
// functions, a step engine of a page, and both sync dialects. It is what
// "gateway dev" serves when nobody brings an app, and an example of what an
// SDK does. Signatures are package signature's; everything that a real SDK
// adds, such as checkpointing and middleware, it leaves to those.
package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Options configures an App.
type Options struct {
	AppID      string       // required
	SigningKey string       // empty: nothing is signed or verified
	BaseURL    string       // of the Inngest API, or of the gateway's apps listener; required
	Origin     string       // scheme and host under which Inngest reaches the app; required
	ServePath  string       // begins with "/"; required
	Log        *slog.Logger // required
}

// version is what the app says of its SDK.
const version = "0.1.0"

const (
	sdkName = "go-sample:v" + version
	maxBody = 8 << 20
)

// An App serves the functions of this package.
type App struct {
	opts      Options
	key       signature.Key
	verifier  *signature.Verifier // nil: anybody is believed
	functions map[string]function // by id with the app's
	order     []string
	client    *http.Client
}

// New builds the app; it listens nowhere.
func New(o Options) (*App, error) {
	switch {
	case o.AppID == "" || o.ServePath == "" || o.ServePath[0] != '/' || o.Log == nil:
		return nil, errors.New("sample: AppID, a ServePath that begins with / and Log are required")
	case !isURL(o.BaseURL) || !isURL(o.Origin):
		return nil, fmt.Errorf("sample: BaseURL %q and Origin %q must be http or https URLs", o.BaseURL, o.Origin)
	}
	a := &App{opts: o, functions: map[string]function{}, client: &http.Client{Timeout: 10 * time.Second}}
	for _, f := range functions() {
		id := o.AppID + "-" + f.id
		a.functions[id] = f
		a.order = append(a.order, id)
	}
	if o.SigningKey == "" {
		return a, nil
	}
	var err error
	if a.key, err = signature.ParseKey(o.SigningKey); err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	a.verifier, err = signature.NewVerifier(signature.Options{
		Keys: []signature.Key{a.key}, Tolerance: 5 * time.Minute, MaxCanonical: maxBody, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	return a, nil
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Handler serves the app's path.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+a.opts.ServePath, a.signedOnly(a.post))
	mux.HandleFunc("GET "+a.opts.ServePath, a.signedOnly(a.introspect))
	mux.HandleFunc("PUT "+a.opts.ServePath, a.put)
	return mux
}

// signedOnly reads the body and lets through what the key signed. Strangers
// learn nothing but that an SDK is here.
func (a *App) signedOnly(next func(http.ResponseWriter, *http.Request, []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return // the caller hung up or sent too much; MaxBytesReader told it
		}
		if !a.believes(r, body) {
			a.unauthorized(w)
			return
		}
		next(w, r, body)
	}
}

func (a *App) believes(r *http.Request, body []byte) bool {
	if a.verifier == nil {
		return true
	}
	err := a.verifier.Verify([]byte(r.Header.Get(inngest.HeaderSignature)), body)
	if err != nil {
		a.opts.Log.Warn("request not believed", "method", r.Method, "err", err)
	}
	return err == nil
}

func (a *App) unauthorized(w http.ResponseWriter) {
	w.Header().Set(inngest.HeaderSDKHandled, "true")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"message":"Unauthorized"}`)
}

// answer writes a signed answer.
func (a *App) answer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(inngest.HeaderSDK, sdkName)
	h.Set(inngest.HeaderSDKHandled, "true")
	h.Set(inngest.HeaderRequestVersion, "2")
	if a.verifier != nil {
		h.Set(inngest.HeaderSignature, signature.Sign(a.key, body, time.Now()))
	}
	w.WriteHeader(status)
	w.Write(body)
}

func (a *App) answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"name":"Error","message":"the answer is no JSON"}`)
	}
	a.answer(w, status, body)
}

// post is a call request, or a probe.
func (a *App) post(w http.ResponseWriter, r *http.Request, body []byte) {
	switch probe := r.URL.Query().Get("probe"); probe {
	case "":
	case inngest.ProbeTrust:
		a.answer(w, http.StatusOK, nil)
		return
	default:
		a.answerJSON(w, http.StatusBadRequest, failure{"Error", fmt.Sprintf("unknown probe %q", probe)})
		return
	}
	f, ok := a.functions[r.URL.Query().Get("fnId")]
	if !ok {
		w.Header().Set(inngest.HeaderNoRetry, "false")
		a.answerJSON(w, http.StatusInternalServerError, failure{"Error", "no such function"})
		return
	}
	in, err := a.readCall(r.Context(), body)
	if err != nil {
		a.answerJSON(w, http.StatusInternalServerError, failure{"Error", err.Error()})
		return
	}
	if target := r.URL.Query().Get("stepId"); target != "step" {
		in.target = target
	}
	result, err := f.program(r.Context(), in)
	a.report(w, result, err)
}

// report turns what a program returned into the answer: its result, the ops it
// ended the call with, or its error.
func (a *App) report(w http.ResponseWriter, result any, err error) {
	var y *yield
	switch {
	case err == nil:
		a.answerJSON(w, http.StatusOK, result)
	case errors.As(err, &y):
		if y.ops[0].Error != nil {
			w.Header().Set(inngest.HeaderNoRetry, strconv.FormatBool(y.ops[0].Op == "StepFailed"))
		}
		if y.retryIn > 0 {
			w.Header().Set(inngest.HeaderRetryAfter, strconv.Itoa(int(y.retryIn/time.Second)))
		}
		a.answerJSON(w, http.StatusPartialContent, y.ops)
	default:
		w.Header().Set(inngest.HeaderNoRetry, "false")
		a.answerJSON(w, http.StatusInternalServerError, failure{"Error", err.Error()})
	}
}

// readCall reads a call request; state that was too large for it is fetched.
func (a *App) readCall(ctx context.Context, body []byte) (*run, error) {
	var call struct {
		Event event                      `json:"event"`
		Steps map[string]json.RawMessage `json:"steps"`
		Ctx   struct {
			RunID       string `json:"run_id"`
			Attempt     int    `json:"attempt"`
			MaxAttempts int    `json:"max_attempts"`
			PlanOnly    bool   `json:"disable_immediate_execution"`
			UseAPI      bool   `json:"use_api"`
		} `json:"ctx"`
	}
	if err := json.Unmarshal(body, &call); err != nil {
		return nil, fmt.Errorf("read the call: %w", err)
	}
	if call.Ctx.UseAPI {
		path := "/v0/runs/" + url.PathEscape(call.Ctx.RunID) + "/actions"
		if err := a.ask(ctx, http.MethodGet, path, nil, &call.Steps); err != nil {
			return nil, err
		}
	}
	return &run{
		event: call.Event, memo: call.Steps, attempt: call.Ctx.Attempt, maxAttempts: call.Ctx.MaxAttempts,
		planOnly: call.Ctx.PlanOnly, uses: map[string]int{},
	}, nil
}
