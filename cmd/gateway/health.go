package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealthCommand(env) *cobra.Command {
	var address string
	var live bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running gateway whether it is ready; for container health checks",
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/readyz"
			if live {
				path = "/livez"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			status, body, err := getAdmin(ctx, address, path)
			if err != nil {
				return fmt.Errorf("health: %w", err)
			}
			if status != http.StatusOK {
				return fmt.Errorf("health: %s%s says %d: %s", address, path, status, bytes.TrimSpace(body))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(body))
			return err
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:8482", "the gateway's admin listener: host:port or unix:///path")
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it is alive")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait")
	return cmd
}

// getAdmin makes one GET to an admin listener and returns at most 64 KiB of
// the answer.
func getAdmin(ctx context.Context, address, path string) (int, []byte, error) {
	dial := (&net.Dialer{}).DialContext
	host := address
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		host = "admin"
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, nil, fmt.Errorf("%s%s: %w", address, path, err)
	}
	return resp.StatusCode, body, nil
}
