package outbound

import (
	"net"
	"os"
	"testing"
)

func TestPrivate_isLoopbackOrUnixSocket(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:8481":          true,
		"127.9.9.9:8481":          true,
		"[::1]:8481":              true,
		"[::ffff:127.0.0.1]:8481": true,
		"localhost:8481":          true,
		"unix:///run/gw.sock":     true,
		":8481":                   false,
		"0.0.0.0:8481":            false,
		"[::]:8481":               false,
		"10.0.0.7:8481":           false,
		"localhost.evil.test:1":   false,
		"127.0.0.1":               false,
		"":                        false,
	} {
		if got := Private(listen); got != want {
			t.Errorf("Private(%q) = %v, want %v", listen, got, want)
		}
	}
}

func TestCallsItself_findsOwnAddresses(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	type at struct{ url, listen string }
	want := map[at]bool{
		{"http://127.0.0.1:8481", "127.0.0.1:8481"}:         true,
		{"http://localhost:8481/", "127.0.0.1:8481"}:        true,
		{"http://[::1]:8481", "localhost:8481"}:             true,
		{"http://localhost:8481", ":8481"}:                  true,
		{"http://" + host + ":8481", "0.0.0.0:8481"}:        true,
		{"http://localhost", ":80"}:                         true,
		{"https://localhost", ":443"}:                       true,
		{"http://10.1.2.3:8481", "10.1.2.3:8481"}:           true,
		{"http://gateway:8481", "gateway:8481"}:             true,
		{"http://127.0.0.1:8288", ":8481"}:                  false,
		{"http://192.0.2.1:8481", ":8481"}:                  false,
		{"http://localhost:8481", "10.1.2.3:8481"}:          false,
		{"https://api.inngest.com", ":8481"}:                false,
		{"https://api.inngest.com", ":443"}:                 false,
		{"http://localhost:8481", "unix:///run/gw.sock"}:    false,
		{"http://localhost:8481", ""}:                       false,
		{"://", ":8481"}:                                    false,
		{"http://localhost.evil.test:8481", "0.0.0.0:8481"}: false,
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil {
			want[at{"http://" + ip.String() + ":8481", ":8481"}] = true
		}
	}
	for c, want := range want {
		if got := CallsItself(c.url, c.listen); got != want {
			t.Errorf("CallsItself(%q, %q) = %v, want %v", c.url, c.listen, got, want)
		}
	}
}
