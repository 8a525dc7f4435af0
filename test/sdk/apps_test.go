// Package sdk puts apps on the real SDKs behind the gateway and in front of them
// the development server. The apps are in sdkapp (Go) and nodeapp (JavaScript).
package sdk

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/nodeapp"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/sdkapp"
)

const (
	productionKey = "signkey-prod-1234567890abcdef1234567890abcdef"
	eventKey      = "abcdef1234567890"
)

func parseKey(t testing.TB, text string) signature.Key {
	t.Helper()
	key, err := signature.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// unreachable is a base URL where nothing listens: for apps that need no server.
const unreachable = "http://127.0.0.1:1"

func TestApps_haveTheSameFunctionsOnBothSDKs(t *testing.T) {
	handler, err := sdkapp.New(sdkapp.Options{
		ID: "app", Prefix: "t/", BaseURL: unreachable, SigningKey: productionKey, EventKey: eventKey,
		OnStep: func(sdkapp.Step) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	golang := httptest.NewServer(handler)
	defer golang.Close()
	node := nodeapp.Start(t, nodeapp.Options{ID: "app", BaseURL: unreachable, SigningKey: productionKey, EventKey: eventKey})

	if got, want := functionsOf(t, node.URL), functionsOf(t, golang.URL); !slices.Equal(got, want) {
		t.Errorf("functions of test/node/app.mjs = %q, of sdkapp %q", got, want)
	}
}

// functionsOf asks an app for its functions, in band, and returns them in order.
func functionsOf(t *testing.T, url string) []string {
	t.Helper()
	body := []byte(`{"url":"` + url + `"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Inngest-Sync-Kind", "in_band")
	req.Header.Set("X-Inngest-Signature", signature.Sign(parseKey(t, productionKey), body, time.Now()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Functions []struct {
			ID       string
			Triggers []struct{ Event string }
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s = %d %s", url, resp.StatusCode, text)
	}
	var functions []string
	for _, f := range answer.Functions {
		functions = append(functions, f.ID)
		for _, trigger := range f.Triggers {
			if want := "t/" + strings.TrimPrefix(f.ID, "app-"); trigger.Event != want {
				t.Errorf("%s is triggered by %s, want %s", f.ID, trigger.Event, want)
			}
		}
	}
	slices.Sort(functions)
	return functions
}
