package pool

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

func TestDo_overAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	app := faultyapp.Start(t, faultyapp.Options{Listener: l})
	u := run(t, options(t, "unix://"+path))
	for i := range 50 {
		body := fmt.Sprint("call ", i)
		if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
			t.Fatalf("%s got %q", body, got)
		}
	}
	if app.Accepted() != 1 {
		t.Errorf("%d connections", app.Accepted())
	}
}

// certificate returns a server's certificate for 127.0.0.1 and who believes it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func tlsApp(t testing.TB) (*faultyapp.App, Options) {
	t.Helper()
	cert, believed := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	app := faultyapp.Start(t, faultyapp.Options{Listener: l})
	o := options(t, "https://"+app.Addr())
	o.TLS = &tls.Config{RootCAs: believed}
	return app, o
}

func TestDo_overTLS(t *testing.T) {
	for size, calls := range map[int]int{10: 20, 100_000: 10, 2 << 20: 2} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			app, o := tlsApp(t)
			u := run(t, o)
			for i := range calls {
				body := fmt.Sprint("call ", i, strings.Repeat("x", size))
				if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
					t.Fatalf("call %d got %d bytes", i, len(got))
				}
			}
			if n := app.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestDo_overTLSWithFaults(t *testing.T) {
	for _, name := range []string{
		"two answers at once", "closes behind an answer", "half an answer", "body until the end", "reset instead of the end",
		"declares too little", "answers before it has read the body", "chunks", "resets without a word",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, o := tlsApp(t)
			u := run(t, o)
			fault := faultyapp.Named(name)
			for i := range 5 {
				got := outcomeOf(t, u, faulty(fmt.Sprint("call ", i), fault))
				// An end without close_notify may be an attacker's cut.
				if fault.Want != faultyapp.Either && got != fault.Want {
					t.Errorf("call %d: %s, want %s", i, got, fault.Want)
				}
				outcomeOf(t, u, post(fmt.Sprint("honest ", i)))
			}
			app.Stop()
		})
	}
}

func TestDo_refusesStrangersOverTLS(t *testing.T) {
	app, o := tlsApp(t)
	o.TLS = nil
	u := run(t, o)
	_, err := u.Do(t.Context(), post("x"))
	if e := wantError(t, err, inngest.CodeUpstreamRefused); e.Sent || !strings.Contains(e.Error(), "TLS") || app.Requests() != 0 {
		t.Errorf("%v, sent %v, %d requests", e, e.Sent, app.Requests())
	}
}

// pair returns two ends of a connection over loopback.
func pair(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// eventually waits until the look at a connection says that; loopback takes a
// moment.
func eventually(t *testing.T, l looker, what string, is func(int, error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		n, err := l.Peek()
		if is(n, err) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("Peek = %d, %v; want %s", n, err, what)
		}
	}
}

func healthy(n int, err error) bool { return n == 0 && err == nil }

func TestLook_seesWhatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(theirs net.Conn)
		what string
		is   func(int, error) bool
	}{
		"nothing": {func(net.Conn) {}, "health", healthy},
		"bytes":   {func(c net.Conn) { c.Write([]byte("x")) }, "a byte", func(n int, err error) bool { return n == 1 && err == nil }},
		"the end": {func(c net.Conn) { c.Close() }, "io.EOF", func(_ int, err error) bool { return err == io.EOF }},
		"bytes and the end": {func(c net.Conn) { c.Write([]byte("x")); c.Close() }, "a byte",
			func(n int, err error) bool { return n == 1 && err == nil }},
		"a reset": {func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, "an error",
			func(n int, err error) bool { return n == 0 && err != nil }}, // the kernel tells it once, then the end
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair(t)
			l := newLooker(ours)
			if n, err := l.Peek(); !healthy(n, err) {
				t.Fatalf("at first: %d, %v", n, err)
			}
			c.do(theirs)
			eventually(t, l, c.what, c.is)
			eventually(t, l, c.what, c.is) // looking takes nothing away
		})
	}
	t.Run("our own end", func(t *testing.T) {
		ours, _ := pair(t)
		l := newLooker(ours)
		ours.Close()
		if _, err := l.Peek(); err == nil {
			t.Error("a closed connection looks healthy")
		}
	})
}

// A record that was read together with the last answer lies above the socket.
func TestLook_seesWhatLiesInsideTLS(t *testing.T) {
	cert, believed := certificate(t)
	ours, theirs := pair(t)
	server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	go server.Handshake()
	client := tls.Client(ours, &tls.Config{RootCAs: believed, ServerName: "127.0.0.1"})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := newLooker(client)
	eventually(t, l, "health", healthy)
	server.Write([]byte("answer"))
	server.Write([]byte("more"))
	buf := make([]byte, 100)
	if n, err := io.ReadFull(client, buf[:6]); err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	eventually(t, l, "bytes that wait", func(n int, err error) bool { return n > 0 && err == nil })

	client.Close()
	if _, err := l.Peek(); err == nil {
		t.Error("a closed connection looks healthy")
	}
}

func TestLook_leavesTLSUsable(t *testing.T) {
	cert, believed := certificate(t)
	ours, theirs := pair(t)
	server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}})
	go io.Copy(server, server)
	client := tls.Client(ours, &tls.Config{RootCAs: believed, ServerName: "127.0.0.1"})
	buf := make([]byte, 5)
	for range 20 {
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		eventually(t, newLooker(client), "health", healthy)
	}
}
