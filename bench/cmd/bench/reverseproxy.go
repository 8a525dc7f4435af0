package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// serveReverseProxy is what one would write with the standard library: its
// reverse proxy with as many idle connections as there are calls at once (two
// are the default, and would make it dial all the time) and a pool of buffers.
// It verifies nothing.
func serveReverseProxy(ctx context.Context, ln net.Listener, args []string) error {
	target := &url.URL{Scheme: "http", Host: args[0]}
	proxy := &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		BufferPool: &buffers{},
	}
	server := &http.Server{Handler: fullDuplex(proxy), ReadHeaderTimeout: 30 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return server.Close() // nobody calls any more
	}
}

// fullDuplex lets the server answer while the request is being read. Without it
// the server closes the request's body when it begins to answer; where the app
// was quicker than the transport, which has still to see that the body is at its
// end, the transport then takes the request for broken and cuts the answer: one
// in some thousand of 64 KiB.
func fullDuplex(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// buffers are of the size that the proxy would make them.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if kept, ok := b.pool.Get().(*[]byte); ok {
		return *kept
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
