package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// An address is where connections of an endpoint go.
type address struct {
	network  string // tcp or unix
	hostPort string // or the path of the socket
	host     string // what the Host header says
	tls      bool
	lookup   bool // hostPort's name is looked up again and again
}

func parseAddress(text string) (address, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme == "unix" {
		if !strings.HasPrefix(rest, "/") {
			return address{}, fmt.Errorf("endpoint %q must be unix:///path", text)
		}
		return address{network: "unix", hostPort: rest, host: "localhost"}, nil
	}
	a := address{network: "tcp"}
	port := "80"
	switch scheme {
	case "http":
	case "https":
		a.tls, port = true, "443"
	case "dns+http":
		a.lookup = true
	default:
		return address{}, fmt.Errorf("endpoint %q must begin with http://, https://, unix:// or dns+http://", text)
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("endpoint %q: %w", text, err)
	}
	if u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") ||
		strings.ContainsFunc(u.Host, notInHost) {
		return address{}, fmt.Errorf("endpoint %q must be host and port, without path or anything else", text)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	a.host, a.hostPort = u.Host, net.JoinHostPort(u.Hostname(), port)
	return a, nil
}

// at returns the address with its name looked up.
func (a address) at(ip netip.Addr) address {
	_, port, _ := net.SplitHostPort(a.hostPort)
	a.hostPort = net.JoinHostPort(ip.String(), port)
	return a
}

// dialError says that no connection came about: nothing reached the app.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial opens a connection, TLS included, within the limit.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	limit := e.up.opt.DialTimeout
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	nc, err := e.up.dial(limited, e.address.network, e.address.hostPort)
	if err == nil && e.address.tls {
		nc, err = e.up.handshake(limited, nc, e.address)
	}
	switch {
	case err == nil:
		e.took(&e.connected, began)
		e.m.dialed("ok")
		return nc, nil
	case ctx.Err() != nil:
		return nil, errCanceled
	case limited.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		e.m.dialed("timeout")
		return nil, &dialError{fmt.Errorf("no connection within %v: %w", limit, err)}
	default:
		e.m.dialed("refused")
		if nobodyListens(e.address, err) {
			e.letGo()
		}
		return nil, &dialError{fmt.Errorf("connect: %w", err)}
	}
}

func (u *Upstream) handshake(ctx context.Context, nc net.Conn, a address) (net.Conn, error) {
	config := u.tls
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(a.hostPort)
	}
	secure := tls.Client(nc, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// clientTLS returns the configuration of connections to https endpoints: this
// exchange speaks HTTP/1.1, and new connections resume a session.
func clientTLS(base *tls.Config) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		config = base.Clone()
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	return config
}
