package outbound

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Ping asks whether Inngest can be reached and notes it for [Client.Reach]. Any
// answer will do: a self-hosted server has /health, the cloud says what it
// likes. An error means that there was none.
func (c *Client) Ping(ctx context.Context) error {
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    atBase(c.api, "/health", ""),
		Header: http.Header{},
	}).WithContext(ctx)
	a, err := c.opts.Transport.RoundTrip(req)
	c.note(err)
	if err != nil {
		return fmt.Errorf("ping %s: %w", c.api.Host, err)
	}
	defer a.Body.Close()
	// A short answer that was read leaves its connection in the pool.
	_, err = io.Copy(io.Discard, io.LimitReader(a.Body, 4<<10))
	return err
}
