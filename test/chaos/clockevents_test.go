package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The clock steps while events are sent, while Inngest is away, and while the
// gateway is down. What was acknowledged arrives, and runs once: no step makes
// other ids, forgets one, or ages what is in the spool by more than itself.
func TestEvents_clockStepsWhileInngestIsAway(t *testing.T) {
	for name, settings := range spoolModes() {
		t.Run(name, func(t *testing.T) {
			const events = 2400
			s := newServer(t)
			newSink(t, s)
			g := newSteppedGateway(t, s, nil, settings)
			g.start()
			b := send(t, g.apps, 64, events, 100)
			for part, happens := range []func(){
				func() { g.clock.set(time.Hour) },
				s.goAway,
				func() { g.clock.set(-time.Hour) },
				func() { g.kill(); g.start() }, // an hour early, as it was
				func() { g.kill(); g.clock.set(time.Hour); g.start() },
				s.comeBack,
				func() { g.clock.set(0) },
			} {
				b.until((part + 1) * events / 8)
				happens()
			}
			b.wait()
			b.settled(s, g.backlog)
			b.judge(s)
			if n := g.metric("inngest_gateway_deliver_dead_letter_events_total"); n > 0 {
				t.Errorf("%v events became dead letters", n)
			}
		})
	}
}

// A clock that goes wrong by more than events may lie in the spool makes all that
// lies there too old. They are kept as dead letters, and go out when somebody
// says so, under the ids that their senders were told.
func TestEvents_clockStepsBeyondTheirAge(t *testing.T) {
	const events = 500
	s := newServer(t)
	newSink(t, s)
	g := newSteppedGateway(t, s, nil, "events: {spool: {max_age: 30m}, "+quick+"}")
	g.start()
	s.goAway()
	b := send(t, g.apps, 16, events, 100)
	b.wait()
	g.clock.set(time.Hour)
	until(t, "dead letters", func() bool { return g.metric("inngest_gateway_deliver_dead_letters") > 0 && g.backlog() == 0 })
	g.clock.set(0)
	s.comeBack()
	g.command("spool", "replay", "--all")
	b.settled(s, g.backlog)
	b.judge(s)
}

// While the clock is wrong, Inngest's certificate is not valid: events wait on
// disk until it is right.
func TestEvents_clockStepsBeyondInngestsCertificate(t *testing.T) {
	const events = 2000
	s := newServer(t)
	newSink(t, s)
	s.goAway()
	var authority string
	s.certificate, authority = newCertificate(t, 30*time.Minute)
	s.comeBack()
	g := newSteppedGateway(t, s, nil, "events: {"+quick+"}")
	g.environ = append(g.environ, "SSL_CERT_FILE="+authority)
	g.start()
	b := send(t, g.apps, 32, events, 100)
	b.until(events / 3)
	for part, off := range []time.Duration{time.Hour, -time.Hour} {
		g.clock.set(off)
		s.goAway() // connections that are open stay good
		s.comeBack()
		before := s.greeted.Load()
		until(t, "a connection that is tried", func() bool { return s.greeted.Load() > before })
		b.until((part + 2) * events / 3)
	}
	b.wait()
	if len(b.missing(s)) == 0 {
		t.Error("all events arrived while the clock was wrong: nothing was tested")
	}
	g.clock.set(0)
	b.settled(s, g.backlog)
	b.judge(s)
}

// newCertificate makes a certificate for loopback that is valid for so long
// before and after now, and a file with what makes clients believe it.
func newCertificate(tb testing.TB, valid time.Duration) (*tls.Certificate, string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Inngest"}, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-valid), NotAfter: time.Now().Add(valid),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "authority.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}
