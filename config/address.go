package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// NetworkAddress splits an address of [Listen] into what [net.Listen] takes.
func NetworkAddress(listen string) (network, address string) {
	if file, ok := strings.CutPrefix(listen, "unix://"); ok {
		return "unix", file
	}
	return "tcp", listen
}

// isListenAddress tells whether a listener can have the address.
func isListenAddress(text string) bool {
	network, address := NetworkAddress(text)
	if network == "unix" {
		return path.IsAbs(address)
	}
	host, port, err := net.SplitHostPort(address)
	return err == nil && isPort(port, 0) && !strings.ContainsAny(host, "/@ ")
}

func isPort(text string, least uint64) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n >= least
}

// isPrivate tells whether only this host can reach a listener.
func isPrivate(listen string) bool {
	network, address := NetworkAddress(listen)
	host, _, err := net.SplitHostPort(address)
	return network == "unix" || err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// parseBase reads a URL that paths are added to.
func parseBase(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isOrigin(u) {
		return nil, false
	}
	return u, true
}

// isOrigin tells whether a URL has a host, and nothing beside it but a path.
func isOrigin(u *url.URL) bool {
	return u.Hostname() != "" && (u.Port() == "" && !strings.HasSuffix(u.Host, ":") || isPort(u.Port(), 1)) &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.Opaque == ""
}

const wantEndpoint = "http://host:port, https://host:port, dns+http://host:port or unix:///path, without a path of the app (that is upstream.path)"

// parseEndpoint reads an endpoint of an upstream.
func parseEndpoint(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, false
	}
	switch u.Scheme {
	case "unix":
		return u, u.Host == "" && path.IsAbs(u.Path) && u.Path != "/" && u.RawQuery == "" && u.Fragment == ""
	case "http", "https", "dns+http":
		return u, isOrigin(u) && u.Path == ""
	}
	return nil, false
}

// portOf returns the port that a URL leads to.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// leadsTo tells whether a URL surely leads to one of our own listeners.
func leadsTo(u *url.URL, listen string) bool {
	network, address := NetworkAddress(listen)
	if network == "unix" || u.Scheme == "unix" {
		return u.Scheme == network && u.Path == address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" || port != portOf(u) {
		return false
	}
	return strings.EqualFold(u.Hostname(), host) || isLoopback(u.Hostname()) && (isEverywhere(host) || isLoopback(host))
}

// collide tells whether two listeners cannot have their addresses at once.
func collide(a, b string) bool {
	networkA, addressA := NetworkAddress(a)
	networkB, addressB := NetworkAddress(b)
	if networkA != networkB || networkA == "unix" {
		return a == b
	}
	hostA, portA, _ := net.SplitHostPort(addressA)
	hostB, portB, _ := net.SplitHostPort(addressB)
	return portA == portB && portA != "0" && (hostA == hostB || isEverywhere(hostA) || isEverywhere(hostB))
}

// isEverywhere tells whether a host stands for every interface.
func isEverywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// isPath tells whether text can be the path of an app: it is compared with
// request targets byte by byte.
func isPath(text string) bool {
	return strings.HasPrefix(text, "/") && path.Clean(text) == text && isVisible(text) && !strings.ContainsAny(text, `?#\`)
}

// isVisible tells whether text holds printable ASCII without spaces only.
func isVisible(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}

// covers tells whether a path is a prefix itself or lies below it.
func covers(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
