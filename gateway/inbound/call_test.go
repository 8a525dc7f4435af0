package inbound

import "testing"

func TestServer_passesASignedCall(t *testing.T) {
	g := newGateway(t, nil)
	body := callBody("run1")
	r := g.ask(t, signedCall(t, body, "X-Run-Id: run1"))
	if r.StatusCode != 200 || r.text != `{"ok":true}` {
		t.Errorf("answer = %d %q, headers %v", r.StatusCode, r.text, r.Header)
	}
	if n := len(g.app.requests()); n != 1 {
		t.Fatalf("the app saw %d requests, want 1", n)
	}
	s := g.app.requests()[0]
	if string(s.body) != body || s.target != "/inner/inngest?fnId=shop-f&stepId=step" || s.identity != "run1" {
		t.Errorf("the app saw %s with body %q, identity %q", s.target, s.body, s.identity)
	}
}
