package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/pkg/checkpoint"
	"github.com/inngest/inngestgo/step"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// steps is how many each run has.
const steps = 10

// sdkPath returns where the app with or without checkpoints is served.
func sdkPath(checkpoints bool) string {
	if checkpoints {
		return "/api/checkpoints"
	}
	return "/api/inngest"
}

// serveSDK is the app on the Go SDK, twice: with and without checkpoints. Its
// arguments are the gateway's apps listener, the backend and the signing key.
func serveSDK(ctx context.Context, ln net.Listener, args []string) error {
	mux := http.NewServeMux()
	for _, checkpoints := range []bool{false, true} {
		h, err := sdkHandler("http://"+args[0], args[1], args[2], checkpoints)
		if err != nil {
			return err
		}
		mux.Handle(sdkPath(checkpoints), h)
	}
	return serveHTTP(ctx, ln, mux)
}

func sdkHandler(inngest, backend, key string, checkpoints bool) (http.Handler, error) {
	env, eventKey, unsigned := "", rig.EventKey, false
	o := inngestgo.ClientOpts{
		AppID: sdkApp(checkpoints), EventKey: &eventKey, Env: &env, SigningKey: &key, SigningKeyFallback: &env,
		APIBaseURL: &inngest, EventAPIBaseURL: &inngest, Dev: &unsigned,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	event := "bench/sdk"
	if checkpoints {
		o.Checkpoint, event = checkpoint.ConfigSafe, "bench/sdk.checkpoints"
	}
	client, err := inngestgo.NewClient(o)
	if err != nil {
		return nil, err
	}
	calls := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	_, err = inngestgo.CreateFunction(client, inngestgo.FunctionOpts{ID: "ten"}, inngestgo.EventTrigger(event, nil),
		func(ctx context.Context, in inngestgo.Input[message]) (any, error) {
			order, last := in.Event.Data.Order, message{}
			for n := 1; n <= steps; n++ {
				var err error
				last, err = step.Run(ctx, "s"+strconv.Itoa(n), func(ctx context.Context) (message, error) {
					return post(ctx, calls, fmt.Sprintf("http://%s/step/%d", backend, n), message{Order: order, N: last.N})
				})
				if err != nil {
					return nil, err
				}
			}
			return last, nil
		})
	return client.ServeWithOpts(inngestgo.ServeOpts{EnableUnauthedSync: &unsigned}), err
}

func post(ctx context.Context, c *http.Client, url string, in message) (out message, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return out, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("backend answered %s", resp.Status)
	}
	return out, json.NewDecoder(resp.Body).Decode(&out)
}

// sdkApp is the id of an app; the gateway of package rig has one called bench.
func sdkApp(checkpoints bool) string {
	if checkpoints {
		return "checkpoints"
	}
	return "bench"
}

// hosted is the same function as the gateway has it, twice, with its apps.
func hosted(backend, sdk string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - {id: %s, path: %s, upstream: {endpoints: [\"http://%s\"]}}\n", sdkApp(true), sdkPath(true), sdk)
	b.WriteString("function_apps:\n" +
		"  - {id: hosted, path: /api/hosted, checkpoint: {enabled: false}}\n" +
		"  - {id: hosted-checkpoints, path: /api/hosted-checkpoints}\nfunctions:\n")
	for app, event := range map[string]string{"hosted": "bench/hosted", "hosted-checkpoints": "bench/hosted.checkpoints"} {
		fmt.Fprintf(&b, "  - id: ten\n    app: %s\n    triggers: [{event: %s}]\n    steps:\n", app, event)
		last := "0"
		for n := 1; n <= steps; n++ {
			fmt.Fprintf(&b, "      - {id: s%d, post: \"http://%s/step/%d\", body: {order: \"${event.data.order}\", n: \"${%s}\"}}\n", n, backend, n, last)
			last = fmt.Sprintf("steps.s%d.n", n)
		}
		fmt.Fprintf(&b, "      - return: {order: \"${event.data.order}\", n: \"${%s}\"}\n", last)
	}
	return b.String()
}
