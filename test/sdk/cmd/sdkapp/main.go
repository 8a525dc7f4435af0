// Command sdkapp serves the test app on the Go SDK by itself, to be put behind a
// gateway by hand. It reads the standard INNGEST_ variables, prints the address
// that it serves as a line of JSON, then a line for each step that it executes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/sdk/sdkapp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sdkapp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listen := flag.String("listen", "127.0.0.1:3000", "address to serve")
	id := flag.String("id", "go-app", "id of the app")
	prefix := flag.String("prefix", "g/", "what the names of its events begin with")
	flag.Parse()

	var mu sync.Mutex
	lines := json.NewEncoder(os.Stdout)
	printLine := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = lines.Encode(v) // a closed standard output is nobody's problem but the reader's
	}
	handler, err := sdkapp.New(sdkapp.Options{
		ID:                 *id,
		Prefix:             *prefix,
		BaseURL:            os.Getenv("INNGEST_BASE_URL"),
		SigningKey:         os.Getenv("INNGEST_SIGNING_KEY"),
		SigningKeyFallback: os.Getenv("INNGEST_SIGNING_KEY_FALLBACK"),
		EventKey:           os.Getenv("INNGEST_EVENT_KEY"),
		Dev:                os.Getenv("INNGEST_DEV") != "",
		Checkpoint:         os.Getenv("CHECKPOINTING") != "",
		OnStep:             func(s sdkapp.Step) { printLine(s) },
		Log:                slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/inngest", handler)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	printLine(map[string]string{"url": "http://" + listener.Addr().String() + "/api/inngest"})

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
