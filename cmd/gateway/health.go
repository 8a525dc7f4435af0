package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
)

func newHealthCommand(e env) *cobra.Command {
	var address string
	var live bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running gateway whether it is ready; for container health checks",
		Long: `Asks the admin listener of a running gateway and prints what it says as JSON.
Exits 1 if the gateway is not ready, or if nobody answers. An app or an Inngest
server that is away is told and no more.`,
		Example: `  gateway health
  gateway health --live --address unix:///run/gateway/admin.sock`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				address = e.adminAddress()
			}
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
				return fmt.Errorf("health: %s%s answered %d: %s", address, path, status, bytes.TrimSpace(body))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(body))
			return err
		},
	}
	cmd.Flags().StringVar(&address, "address", "", "`ADDRESS` of the gateway's admin listener, host:port or unix:///path (default $"+config.VariableOf("listen.admin")+" or "+config.Default().Listen.Admin+")")
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it is alive")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait")
	return cmd
}

// adminAddress returns where a gateway with this environment has its admin
// listener.
func (e env) adminAddress() string {
	if at := e.lookup(config.VariableOf("listen.admin")); at != "" {
		return at
	}
	return config.Default().Listen.Admin
}

// getAdmin makes one GET to an admin listener and returns at most 64 KiB of
// the answer.
func getAdmin(ctx context.Context, address, path string) (int, []byte, error) {
	network, at := config.NetworkAddress(address)
	if _, _, err := net.SplitHostPort(at); network == "tcp" && err != nil {
		return 0, nil, usageError{fmt.Errorf("--address is %q, want host:port or unix:///path", address)}
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, unreachable(address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, nil, fmt.Errorf("%s%s: %w", address, path, err)
	}
	return resp.StatusCode, body, nil
}

// unreachable says that nobody answered, without the URL of the request, which
// may hold a key.
func unreachable(at string, err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer in time (--timeout)", at)
	}
	return fmt.Errorf("nobody answers at %s: %w", at, err)
}
