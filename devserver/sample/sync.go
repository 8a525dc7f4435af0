package sample

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// capabilities are what the app can do beyond calls.
var capabilities = map[string]string{"trust_probe": "v1", "in_band_sync": "v1"}

// Sync registers the app's functions with Inngest.
func (a *App) Sync(ctx context.Context) error {
	_, err := a.register(ctx, a.opts.Origin+a.opts.ServePath, "")
	return err
}

// put is a sync that the server asks for. In band, the signed answer carries
// the functions; out of band, the app registers them before it answers, and
// does so for strangers too: it tells Inngest what it is, nobody else.
func (a *App) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // told by MaxBytesReader
	}
	signed := r.Header.Get(inngest.HeaderSignature) != ""
	inBand := r.Header.Get(inngest.HeaderSyncKind) == inngest.SyncInBand
	if (signed || inBand) && !a.believes(r, body) {
		a.unauthorized(w)
		return
	}
	if inBand {
		a.answerInBand(w, body)
		return
	}
	kind := r.Header.Get(inngest.HeaderServerKind)
	modified, err := a.register(r.Context(), a.opts.Origin+a.opts.ServePath, kind)
	if err != nil {
		a.opts.Log.Error("registration failed", "err", err)
		a.answerJSON(w, http.StatusInternalServerError, map[string]any{"message": "Failed to register", "modified": false})
		return
	}
	result := map[string]any{"message": "Successfully registered", "modified": modified}
	if !signed && a.verifier != nil {
		w.Header().Set(inngest.HeaderSDKHandled, "true") // strangers learn no more
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result)
		return
	}
	w.Header().Set(inngest.HeaderSyncKind, inngest.SyncOutOfBand)
	w.Header().Set(inngest.HeaderExpectedServerKind, kind)
	a.answerJSON(w, http.StatusOK, result)
}

// answerInBand takes exactly {"url": ...} and answers with the functions.
func (a *App) answerInBand(w http.ResponseWriter, body []byte) {
	var in struct {
		URL string `json:"url"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || !isURL(in.URL) {
		a.answerJSON(w, http.StatusBadRequest, map[string]string{"code": "invalid_request", "message": `the body must be {"url": "http..."}`})
		return
	}
	w.Header().Set(inngest.HeaderSyncKind, inngest.SyncInBand)
	a.answerJSON(w, http.StatusOK, map[string]any{
		"app_id": a.opts.AppID, "capabilities": capabilities, "env": nil, "framework": "net/http", "functions": a.manifest(in.URL),
		"inspection": a.inspection(), "platform": nil, "sdk_author": "inngest-gateway", "sdk_language": "go-sample",
		"sdk_version": version, "url": in.URL,
	})
}

// register posts the functions to Inngest.
func (a *App) register(ctx context.Context, address, serverKind string) (modified bool, err error) {
	var answer struct {
		Modified bool `json:"modified"`
	}
	err = a.askKind(ctx, http.MethodPost, "/fn/register", serverKind, map[string]any{
		"url": address, "deployType": "ping", "framework": "net/http", "appName": a.opts.AppID,
		"functions": a.manifest(address), "sdk": sdkName, "v": "0.1", "capabilities": capabilities,
	}, &answer)
	return answer.Modified, err
}

// manifest lists the functions as an app at that address has them.
func (a *App) manifest(address string) []any {
	out := make([]any, 0, len(a.order))
	for _, id := range a.order {
		f := a.functions[id]
		out = append(out, map[string]any{
			"id": id, "name": f.name, "triggers": []any{map[string]string{"event": f.event}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "retries": map[string]int{"attempts": f.retries},
				"runtime": map[string]string{"type": "http", "url": address + "?fnId=" + id + "&stepId=step"},
			}},
		})
	}
	return out
}

// introspect tells the server what the app is.
func (a *App) introspect(w http.ResponseWriter, _ *http.Request, _ []byte) {
	a.answerJSON(w, http.StatusOK, a.inspection())
}

func (a *App) inspection() map[string]any {
	mode := "cloud"
	if a.verifier == nil {
		mode = "dev"
	}
	var keyHash any
	if a.verifier != nil {
		keyHash = signature.BearerToken(a.key)
	}
	return map[string]any{
		"schema_version": "2024-05-24", "authentication_succeeded": a.verifier != nil, "function_count": len(a.order),
		"has_event_key": false, "has_signing_key": a.verifier != nil, "has_signing_key_fallback": false, "mode": mode,
		"api_origin": a.opts.BaseURL, "app_id": a.opts.AppID, "capabilities": capabilities, "env": nil,
		"event_api_origin": a.opts.BaseURL, "event_key_hash": nil, "framework": "net/http", "sdk_language": "go-sample",
		"sdk_version": version, "serve_origin": a.opts.Origin, "serve_path": a.opts.ServePath,
		"signing_key_fallback_hash": nil, "signing_key_hash": keyHash,
	}
}

// ask makes a request to Inngest's API and decodes the answer.
func (a *App) ask(ctx context.Context, method, path string, body, into any) error {
	return a.askKind(ctx, method, path, "", body, into)
}

func (a *App) askKind(ctx context.Context, method, path, serverKind string, body, into any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(a.opts.BaseURL, "/")+path, bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(inngest.HeaderSDK, sdkName)
	if token := signature.BearerToken(a.key); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if serverKind != "" {
		req.Header.Set(inngest.HeaderExpectedServerKind, serverKind)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4*maxBody))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %w", method, path, &statusError{resp.StatusCode, string(answer)})
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// A statusError is an answer other than 200.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("Inngest answered %d: %s", e.status, strings.TrimSpace(e.body))
}
