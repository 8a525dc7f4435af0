package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func newSendCommand(e env) *cobra.Command {
	var base, key, id, environment string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "send NAME [DATA]",
		Short: "Send an event to a gateway or an Inngest server",
		Long: `Sends one event and prints the id that it got. DATA is a JSON object, "-" reads
it from standard input. The event key comes from --key or INNGEST_EVENT_KEY.`,
		Example: `  gateway send order.created '{"orderId": 7}'
  gateway send order.created - --url http://127.0.0.1:8288 < order.json`,
		Args: takes(1, "NAME", "DATA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			event, err := e.newEvent(args, id)
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			if key == "" {
				key = "env:INNGEST_EVENT_KEY"
			}
			eventKey, err := e.secret(key)
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			ids, err := postEvent(ctx, base, eventKey, environment, event)
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(ids, "\n"))
			return err
		},
	}
	cmd.Flags().StringVar(&base, "url", "http://127.0.0.1:8481", "`URL` to send it to: a gateway's apps listener or an Inngest server")
	cmd.Flags().StringVar(&key, "key", "", "event `KEY`, as env:NAME or file:PATH (default env:INNGEST_EVENT_KEY)")
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the event, for de-duplication")
	cmd.Flags().StringVar(&environment, "env", "", "`NAME` of a branch environment")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait")
	return cmd
}

// newEvent returns the event of NAME and, if it is there, DATA.
func (e env) newEvent(args []string, id string) ([]byte, error) {
	event := map[string]any{"name": args[0]}
	if id != "" {
		event["id"] = id
	}
	if len(args) == 2 {
		data, err := e.jsonObject(args[1])
		if err != nil {
			return nil, fmt.Errorf("DATA must be a JSON object: %w", err)
		}
		event["data"] = data
	}
	return json.Marshal(event)
}

// postEvent sends the event and returns its ids.
func postEvent(ctx context.Context, base, key, environment string, event []byte) ([]string, error) {
	target, err := url.Parse(base)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--url is %q, want http://host:port", base)}
	}
	target = target.JoinPath("e", url.PathEscape(key))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(event))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if environment != "" {
		req.Header.Set(inngest.HeaderEnv, environment)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, unreachable(base, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base, err)
	}
	var answer struct {
		IDs   []string `json:"ids"`
		Error string   `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || resp.StatusCode >= 300 || len(answer.IDs) == 0 {
		reason := answer.Error
		if reason == "" {
			reason = strings.TrimSpace(string(body))
		}
		return nil, fmt.Errorf("%s answered %d: %s", base, resp.StatusCode, reason)
	}
	return answer.IDs, nil
}
