package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// serveBackend answers each step with a number more than it was sent.
func serveBackend(ctx context.Context, ln net.Listener, _ []string) error {
	return serveHTTP(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in message
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(text, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(message{Order: in.Order, N: in.N + 1}) // who hung up misses it
	}))
}

// A message is what steps and backend tell each other.
type message struct {
	Order string `json:"order"`
	N     int    `json:"n"`
}

func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return server.Close() // nobody calls any more
	}
}
