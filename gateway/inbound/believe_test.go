package inbound

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

func TestBelieve_refusesWhatInngestDidNotSign(t *testing.T) {
	body := callBody("run1")
	other, err := signature.ParseKey("signkey-prod-00000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) string { return signature.Sign(testKey(t), []byte(body), time.Now().Add(d)) }
	good := sign(t, body)
	hex := strings.TrimPrefix(good[strings.Index(good, "s="):], "s=")
	for name, c := range map[string]struct {
		sig  string
		code inngest.Code
	}{
		"none":                 {"", "signature_missing"},
		"other key":            {signature.Sign(other, []byte(body), time.Now()), "signature_mismatch"},
		"other body":           {sign(t, body+" "), "signature_mismatch"},
		"five minutes old":     {at(-5*time.Minute - 2*time.Second), "signature_expired"},
		"ahead of our clock":   {at(5*time.Minute + 2*time.Second), "signature_expired"},
		"time as exponent":     {"t=17e8&s=" + hex, "signature_malformed"},
		"time with a sign":     {"t=+1700000000&s=" + hex, "signature_malformed"},
		"time overflows":       {"t=99999999999999999999&s=" + hex, "signature_malformed"},
		"upper case":           {strings.ToUpper(good), "signature_malformed"},
		"upper-case hex":       {good[:strings.Index(good, "s=")+2] + strings.ToUpper(hex), "signature_malformed"},
		"two times":            {"t=1700000000&" + good, "signature_malformed"},
		"other order":          {good[strings.Index(good, "s="):] + "&" + good[:strings.Index(good, "&")], "signature_malformed"},
		"cut off":              {good[:len(good)-1], "signature_malformed"},
		"list":                 {good + ", " + good, "signature_malformed"},
		"space":                {strings.Replace(good, "&", " &", 1), "signature_malformed"},
		"one bit of the other": {good[:len(good)-1] + flip(good[len(good)-1]), "signature_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			headers := []string{}
			if c.sig != "" {
				headers = append(headers, "X-Inngest-Signature: "+c.sig)
			}
			r := g.ask(t, message("POST /api/inngest?fnId=f&stepId=step HTTP/1.1", body, headers...))
			p := problemOf(t, r)
			if r.StatusCode != 401 || p.Code != c.code || r.Header.Get("Retry-After") != "" {
				t.Errorf("answer = %d %+v, want 401 %s", r.StatusCode, p, c.code)
			}
			if n := len(g.app.requests()); n != 0 {
				t.Errorf("the app saw %d requests", n)
			}
			eventually(t, "the rejection is counted", func() bool {
				reason := strings.TrimPrefix(string(c.code), "signature_")
				return testutil.ToFloat64(g.metrics.Rejections.WithLabelValues("shop", reason)) == 1
			})
		})
	}
}

// flip returns another hexadecimal digit.
func flip(digit byte) string {
	if digit == '0' {
		return "1"
	}
	return "0"
}

func TestBelieve_unverifiedModeLetsEverythingThroughAndCountsIt(t *testing.T) {
	g := newGateway(t, func(s *setup) { s.Pair = &pairDouble{off: true} })
	for _, raw := range []string{
		message("POST /api/inngest?stepId=step HTTP/1.1", callBody("run1")),
		message("POST /api/inngest HTTP/1.1", `{}`, "X-Inngest-Signature: nonsense"),
		"GET /api/inngest HTTP/1.1\r\nHost: gw\r\n\r\n",
	} {
		if r := g.ask(t, raw); r.StatusCode != 200 {
			t.Errorf("answer = %d %q", r.StatusCode, r.text)
		}
	}
	if n := testutil.ToFloat64(g.metrics.Unverified.WithLabelValues("shop")); n != 3 {
		t.Errorf("unverified requests = %v, want 3", n)
	}
}

func TestIdentity_isTheSignedBodysOrRefused(t *testing.T) {
	body := callBody("run1")
	targeted := strings.Replace(body, `"step_id":"step"`, `"step_id":"e4fb"`, 1)
	reordered := `{"event":{},"ctx":{"run_id":"run1","step_id":"step"}}`
	for name, c := range map[string]struct {
		target string
		body   string
		header []string
		ok     bool
		run    string
	}{
		"all agree":                    {"?fnId=f&stepId=step", body, []string{"X-Run-Id: run1", "X-Request-Id: req1", "X-Inngest-Job-Id: 34y97", "X-Inngest-Generation-Id: 1", "X-Inngest-Step-Id: step"}, true, "run1"},
		"nothing but the body":         {"", body, nil, true, "run1"},
		"the Go form":                  {"?fnId=go-app-simple&step=step&stepId=step", body, nil, true, "run1"},
		"other run":                    {"", body, []string{"x-run-id: run2"}, false, ""},
		"empty run":                    {"", body, []string{"X-Run-Id:"}, false, ""},
		"the request id of a proxy":    {"", body, []string{"X-Request-Id: req2"}, true, "run1"},
		"other job":                    {"", body, []string{"X-Inngest-Job-Id: x"}, false, ""},
		"other generation":             {"", body, []string{"X-Inngest-Generation-Id: 2"}, false, ""},
		"generation with a zero":       {"", body, []string{"X-Inngest-Generation-Id: 01"}, false, ""},
		"a targeted step":              {"?stepId=e4fb", body, []string{"X-Inngest-Step-Id: e4fb"}, true, "run1"},
		"header and query differ":      {"?stepId=e4fb", body, []string{"X-Inngest-Step-Id: step"}, false, ""},
		"other step":                   {"", targeted, []string{"X-Inngest-Step-Id: step"}, false, ""},
		"other step in the query":      {"?stepId=x", targeted, nil, false, ""},
		"empty step in the query":      {"?stepId=", targeted, nil, false, ""},
		"encoded step, the same":       {"?stepId=e4%66b", targeted, nil, true, "run1"},
		"encoded name, other step":     {"?step%49d=x", targeted, nil, false, ""},
		"behind a semicolon":           {"?a=b;stepId=x", targeted, nil, false, ""},
		"two functions":                {"?fnId=a&fnId=b", body, nil, false, ""},
		"not in canonical order":       {"?stepId=x", reordered, []string{"X-Run-Id: run2"}, true, ""},
		"names in other case are none": {"?stepid=x", body, nil, true, "run1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			r := g.ask(t, message("POST /api/inngest"+c.target+" HTTP/1.1", c.body, append(c.header, "X-Inngest-Signature: "+sign(t, c.body))...))
			if !c.ok {
				if p := problemOf(t, r); r.StatusCode != 400 || p.Code != "identity_mismatch" || len(g.app.requests()) != 0 {
					t.Errorf("answer = %d %+v, the app saw %d requests", r.StatusCode, p, len(g.app.requests()))
				}
				return
			}
			if r.StatusCode != 200 {
				t.Fatalf("answer = %d %q", r.StatusCode, r.text)
			}
			s := g.app.requests()[0]
			if s.identity != c.run || s.target != "/inner/inngest"+c.target {
				t.Errorf("identity = %q, target %s", s.identity, s.target)
			}
		})
	}
}

func TestProbe_isForwardedAndNoCall(t *testing.T) {
	g := newGateway(t, nil)
	g.app.answers(answer(410, "", "X-Inngest-Sdk", "go"))
	r := g.ask(t, message("POST /api/inngest?probe=trust HTTP/1.1", "{}", "X-Inngest-Signature: "+sign(t, "{}")))
	if r.StatusCode != 410 || g.app.requests()[0].target != "/inner/inngest?probe=trust" {
		t.Errorf("answer = %d %v", r.StatusCode, g.app.requests())
	}
	if r := g.ask(t, message("POST /api/inngest?probe=trust HTTP/1.1", "{}")); r.StatusCode != 401 {
		t.Errorf("unsigned probe: answer = %d", r.StatusCode)
	}
	eventually(t, "both are counted", func() bool {
		return testutil.ToFloat64(g.metrics.Requests.WithLabelValues("shop", "probe", "4xx")) == 1
	})
	if strings.Contains(g.log.text(), "call failed") && !strings.Contains(g.log.text(), "signature_missing") {
		t.Errorf("log = %s", g.log.text())
	}
}

func TestGet_signedIsPassedUnsignedIsOurs(t *testing.T) {
	g := newGateway(t, nil)
	if r := g.ask(t, message("GET /api/inngest HTTP/1.1", "", "X-Inngest-Signature: "+sign(t, ""))); r.StatusCode != 200 {
		t.Errorf("signed: answer = %d %q", r.StatusCode, r.text)
	}
	r := g.ask(t, "GET /api/inngest HTTP/1.1\r\nHost: gw\r\n\r\n")
	if p := problemOf(t, r); r.StatusCode != 401 || p.Code != "signature_missing" || len(g.app.requests()) != 1 {
		t.Errorf("unsigned: answer = %d %+v", r.StatusCode, p)
	}
	// A 302 of the app makes the server repeat a call as a GET with its body.
	body := callBody("run1")
	if r := g.ask(t, message("GET /api/inngest HTTP/1.1", body, "X-Inngest-Signature: "+sign(t, body), "X-Run-Id: run1")); r.StatusCode != 200 {
		t.Errorf("with a body: answer = %d %q", r.StatusCode, r.text)
	}
	if s := g.app.requests()[1]; s.Method != "GET" || string(s.body) != body || s.identity != "run1" {
		t.Errorf("with a body: the app saw %s %q", s.Method, s.body)
	}
}

func TestDurable_reentryNeedsRunIDAndSignature(t *testing.T) {
	signed := "X-Inngest-Signature: " + sign(t, "")
	for name, c := range map[string]struct {
		line   string
		header []string
		status int
	}{
		"GET":                  {"GET /work/a?q=11 HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"PATCH":                {"PATCH /work/a/b HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"DELETE":               {"DELETE /work/ HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"PUT is no sync":       {"PUT /work/a HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"the prefix itself":    {"POST /work HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"two step ids":         {"POST /work/a?stepId=1&stepId=2 HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"encoded text":         {"GET /work/a%20b HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
		"no run id":            {"GET /work/a HTTP/1.1", []string{signed}, 404},
		"empty run id":         {"GET /work/a HTTP/1.1", []string{signed, "X-Run-Id:"}, 404},
		"no signature":         {"GET /work/a HTTP/1.1", []string{"X-Run-Id: run1"}, 401},
		"PUT without":          {"PUT /work/a HTTP/1.1", []string{"X-Run-Id: run1"}, 401},
		"HEAD":                 {"HEAD /work/a HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 405},
		"OPTIONS":              {"OPTIONS /work/a HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 405},
		"beside the prefix":    {"GET /workers HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"dot segments":         {"GET /work/../admin HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"encoded dots":         {"GET /work/%2e%2e/admin HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"encoded slash":        {"GET /work/a%2Fb HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"encoded backslash":    {"GET /work/a%5Cb HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"backslash":            {`GET /work/..\admin HTTP/1.1`, []string{signed, "X-Run-Id: run1"}, 404},
		"dots and parameter":   {"GET /work/..;x/admin HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"two slashes":          {"GET /work//admin HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"encoded percent":      {"GET /work/%252e%252e/admin HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"broken encoding":      {"GET /work/%zz HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"NUL":                  {"GET /work/a%00 HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"upper case":           {"GET /WORK/a HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 404},
		"signature of a body":  {"GET /work/a HTTP/1.1", []string{"X-Inngest-Signature: " + sign(t, "x"), "X-Run-Id: run1"}, 401},
		"segment of two dots…": {"GET /work/.../a HTTP/1.1", []string{signed, "X-Run-Id: run1"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			r := g.ask(t, message(c.line, "", c.header...))
			if r.StatusCode != c.status {
				t.Errorf("answer = %d %q, want %d", r.StatusCode, r.text, c.status)
			}
			switch requests := g.app.requests(); {
			case c.status != 200 && len(requests) != 0:
				t.Errorf("the app saw %s", requests[0].target)
			case c.status == 200 && requests[0].target != strings.Fields(c.line)[1]:
				t.Errorf("the app saw %s", requests[0].target)
			}
			if len(g.syncs.puts()) != 0 {
				t.Error("it was taken for a sync")
			}
			if c.status == 405 && r.Header.Get("Allow") != "GET, POST, PUT, PATCH, DELETE" {
				t.Errorf("Allow = %q", r.Header.Get("Allow"))
			}
		})
	}
}
