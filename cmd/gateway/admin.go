package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// maxAdminAnswer bounds what is read of an admin listener's answer: a dead
// letter holds a batch of events.
const maxAdminAnswer = 64 << 20

// adminFlags say where a running gateway's admin listener is and who asks.
type adminFlags struct {
	address, token string
	timeout        time.Duration
}

func (f *adminFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.address, "address", "", "`ADDRESS` of the gateway's admin listener, host:port or unix:///path (default $"+config.VariableOf("listen.admin")+" or "+config.Default().Listen.Admin+")")
	flags.StringVar(&f.token, "token", "", "admin `TOKEN`, as env:NAME or file:PATH; needed where admin.token is set")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait")
}

func (f *adminFlags) client(e env) (adminClient, error) {
	c := adminClient{address: f.address}
	if c.address == "" {
		c.address = e.adminAddress()
	}
	if f.token != "" {
		var err error
		if c.token, err = e.secret(f.token); err != nil {
			return c, fmt.Errorf("--token: %w", err)
		}
	}
	network, at := config.NetworkAddress(c.address)
	if _, _, err := net.SplitHostPort(at); network == "tcp" && err != nil {
		return c, usageError{fmt.Errorf("--address is %q, want host:port or unix:///path", c.address)}
	}
	c.http = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
	}}
	return c, nil
}

// An adminClient talks to the admin listener of a running gateway.
type adminClient struct {
	address, token string
	http           *http.Client
}

// get reads what stands at a path into into, unless that is nil.
func (c adminClient) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// control changes state: POST /control/name.
func (c adminClient) control(ctx context.Context, name string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "/control/"+name, body, into)
}

func (c adminClient) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(c.address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", c.address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", c.address, adminReason(resp.StatusCode, text))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s%s: %w", c.address, path, err)
	}
	return nil
}

// adminReason is why an admin listener refused.
func adminReason(status int, text []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
		return problem.Detail
	}
	return fmt.Sprintf("answered %d: %s", status, strings.TrimSpace(string(text)))
}
