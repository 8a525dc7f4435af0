package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

func newInvokeCommand(e env) *cobra.Command {
	var key, function, event, data, step, whole, file string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "invoke URL --fn APP-FUNCTION | --function FUNCTION",
		Short: "Run a function of a configuration, or send an app one signed call request",
		Long: `With --function: runs one function from its first step to its end and prints
what happens, a line a step, then the result as JSON. It does so between the
gateway of the configuration and an in-memory Inngest server, as "gateway dev"
has it; no other Inngest hears of it. Exits 1 if the run fails.

With a URL and --fn: makes a call request as Inngest would at the start of a
run, signs it and sends it to the URL of an app or of a gateway. The answer is
shown as it comes. The function really runs, up to its first step.`,
		Example: `  gateway invoke --function process-order --config gateway.yaml --data '{"orderId": 7}'
  gateway invoke http://127.0.0.1:3000/api/inngest --fn shop-confirm-order --event order.created --data '{"orderId": 7}'`,
		Args: takes(0, "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if whole != "" {
				if len(args) > 0 || function != "" {
					return usageError{errors.New("invoke: --function runs a function of the configuration: it takes no URL and no --fn")}
				}
				object, err := e.jsonObject(data)
				if err != nil {
					return fmt.Errorf("invoke: --data must be a JSON object: %w", err)
				}
				if !cmd.Flags().Changed("event") {
					event = ""
				}
				ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
				defer cancel()
				return e.invokeWhole(ctx, config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()}, whole, event, object)
			}
			if len(args) == 0 {
				return usageError{fmt.Errorf("URL or --function is missing; see %s --help", cmd.CommandPath())}
			}
			if function == "" {
				return usageError{errors.New("invoke: --fn is missing: the function's full id, app id first")}
			}
			k, err := e.signingKey(key)
			if err != nil {
				return fmt.Errorf("invoke: %w", err)
			}
			object, err := e.jsonObject(data)
			if err != nil {
				return fmt.Errorf("invoke: --data must be a JSON object: %w", err)
			}
			body, err := newCallBody(event, object, step, time.Now())
			if err != nil {
				return fmt.Errorf("invoke: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			resp, err := postCall(ctx, args[0], function, step, body, k)
			if err != nil {
				return fmt.Errorf("invoke: %w", err)
			}
			defer resp.Body.Close()
			return showAnswer(cmd.OutOrStdout(), resp)
		},
	}
	addConfigFlags(cmd, &file)
	cmd.Flags().StringVar(&whole, "function", "", "`ID` of a function of the configuration to run")
	cmd.Flags().StringVar(&key, "key", "", "signing `KEY`, as env:NAME or file:PATH (default env:"+signingKeyVariable+")")
	cmd.Flags().StringVar(&function, "fn", "", "full `ID` of the function, app id first")
	cmd.Flags().StringVar(&event, "event", "gateway/invoke", "`NAME` of the event that triggers the run")
	cmd.Flags().StringVar(&data, "data", "{}", "the event's data, a `JSON` object; \"-\" reads standard input")
	cmd.Flags().StringVar(&step, "step", inngest.TargetAny, "hashed `ID` of a step to target")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the answer, or for the run to end")
	return cmd
}

// newCallBody returns the canonical body of a first call of a new run.
func newCallBody(name string, data json.RawMessage, step string, now time.Time) ([]byte, error) {
	event := inngest.Event{ID: ulid.Make().String(), Name: name, Data: data, TS: now.UnixMilli()}
	body, err := json.Marshal(inngest.CallRequest{
		Ctx: inngest.CallContext{
			FunctionID:   "00000000-0000-4000-a000-000000000000",
			GenerationID: 1,
			JobID:        strings.ToLower(ulid.Make().String()),
			MaxAttempts:  1,
			RequestID:    ulid.Make().String(),
			RunID:        ulid.Make().String(),
			Stack:        inngest.StackState{Stack: []string{}},
			StepID:       step,
		},
		Defers:  map[string]inngest.Defer{},
		Event:   &event,
		Events:  []inngest.Event{event},
		Steps:   map[string]json.RawMessage{},
		Version: -1,
	})
	if err != nil {
		return nil, err
	}
	return signature.Canonical(body)
}

func postCall(ctx context.Context, to, function, step string, body []byte, k signature.Key) (*http.Response, error) {
	target, err := url.Parse(to)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, usageError{fmt.Errorf("URL is %q, want the URL of an app such as http://127.0.0.1:3000/api/inngest", to)}
	}
	query := target.Query()
	query.Set("fnId", function)
	query.Set("stepId", step)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "inngest-gateway/"+version)
	req.Header.Set(inngest.HeaderRequestVersion, "-1")
	req.Header.Set(inngest.HeaderStepID, step)
	req.Header.Set(inngest.HeaderSignature, signature.Sign(k, body, time.Now()))
	// A redirect would take the signed body anywhere.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(to, err)
	}
	return resp, nil
}

// showAnswer prints status, header fields in order of name, and the body. A
// status of 400 and above, and a 2xx that no SDK sent, is a failure.
func showAnswer(w io.Writer, resp *http.Response) error {
	names := make([]string, 0, len(resp.Header))
	for name := range resp.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(w, resp.Status)
	for _, name := range names {
		for _, value := range resp.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintln(w)
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("invoke: answer: %w", err)
	}
	fmt.Fprintln(w)
	code := resp.Header.Get(inngest.HeaderGatewayError)
	switch {
	case code != "":
		return fmt.Errorf("invoke: the gateway refused the call with status %d: %s", resp.StatusCode, code)
	case resp.StatusCode >= 400:
		return fmt.Errorf("invoke: the answer's status is %d", resp.StatusCode)
	case resp.Header.Get(inngest.HeaderSDK) == "":
		return errors.New("invoke: the answer comes from no Inngest SDK: Inngest would count it as a failure")
	}
	return nil
}
