package outbound

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// Private tells whether an address to listen at can be reached from this
// machine only: a loopback address or a unix socket. Apps in mode strip need
// no token, so their listener must be private.
func Private(listen string) bool {
	if strings.HasPrefix(listen, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(listen)
	return err == nil && loopback(host)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// CallsItself tells whether a URL of Inngest leads to one of the gateway's own
// addresses, as an inherited INNGEST_BASE_URL does: then the gateway would call
// itself. Names are not looked up but for this machine's own; a name that only
// DNS leads here is not noticed.
func CallsItself(inngestURL string, listens ...string) bool {
	u, err := url.Parse(inngestURL)
	if err != nil {
		return false
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for _, listen := range listens {
		at, listenPort, err := net.SplitHostPort(listen)
		if err == nil && listenPort == port && sameHost(host, at) {
			return true
		}
	}
	return false
}

func sameHost(host, listen string) bool {
	if listen == "" || listen == "0.0.0.0" || listen == "::" {
		return thisMachine(host)
	}
	if strings.EqualFold(host, listen) || (loopback(host) && loopback(listen)) {
		return true
	}
	a, errA := netip.ParseAddr(host)
	b, errB := netip.ParseAddr(listen)
	return errA == nil && errB == nil && a.Unmap() == b.Unmap()
}

func thisMachine(host string) bool {
	if loopback(host) || host == "0.0.0.0" || host == "::" {
		return true
	}
	if name, err := os.Hostname(); err == nil && strings.EqualFold(name, host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == addr.Unmap() {
			return true
		}
	}
	return false
}
