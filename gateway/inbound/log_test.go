package inbound

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/pool"
)

func (l *logDouble) entries(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.text()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, entry)
	}
	return all
}

func TestLog_hasALinePerFailureAndOneInManyOfTheRest(t *testing.T) {
	g := newGateway(t, func(s *setup) { s.LogEvery = 10 })
	c := dial(t, g.addr)
	for range 25 {
		c.send(signedCall(t, callBody("run1")))
		c.reply("POST")
	}
	g.app.fails(&pool.Error{Code: "upstream_refused", Endpoint: "http://127.0.0.1:3000"})
	for range 4 {
		c.send(signedCall(t, callBody("run1")))
		c.reply("POST")
	}
	count := func(msg string) (n int) {
		for _, e := range g.log.entries(t) {
			if e["msg"] == msg {
				n++
			}
		}
		return n
	}
	eventually(t, "all lines are there", func() bool { return count("call failed") == 4 })
	if n := count("call"); n != 3 { // the 1st, the 11th, the 21st
		t.Errorf("%d lines of 25 good calls, want 3", n)
	}
}

func TestLog_tellsWhatWasAndNoSecrets(t *testing.T) {
	g := newGateway(t, nil)
	g.app.fails(&pool.Error{Code: "upstream_refused", Endpoint: "http://127.0.0.1:3000"})
	body := callBody("run1")
	sig := sign(t, body)
	g.ask(t, message("POST /api/inngest?fnId=f&stepId=step&token=hunter2 HTTP/1.1", body, "X-Inngest-Signature: "+sig, "Authorization: Bearer hunter2"))
	eventually(t, "the line is there", func() bool { return strings.Contains(g.log.text(), "call failed") })
	text := g.log.text()
	for _, secret := range []string{"hunter2", sig, `"n":5`, "signkey"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q: %s", secret, text)
		}
	}
	e := g.log.entries(t)[0]
	for key, want := range map[string]any{
		"level": "WARN", "app": "shop", "kind": "call", "method": "POST", "path": "/api/inngest", "run": "run1", "fn": "1992b630", "step": "step",
		"job": "34y97", "attempt": 0.0, "generation": 1.0, "endpoint": "http://127.0.0.1:3000", "status": 503.0, "code": "upstream_refused",
		"request_bytes": float64(len(body)),
	} {
		if e[key] != want {
			t.Errorf("%s = %v, want %v", key, e[key], want)
		}
	}
	for _, key := range []string{"read", "verify", "upstream", "write", "total", "err", "answer_bytes"} {
		if e[key] == nil {
			t.Errorf("the line has no %s: %v", key, e)
		}
	}
}

func TestLog_isNotFloodedByStrangers(t *testing.T) {
	g := newGateway(t, nil)
	for range 50 {
		g.ask(t, "GET /.env HTTP/1.1\r\nHost: gw\r\n\r\n")
	}
	eventually(t, "all are counted", func() bool {
		return testutil.ToFloat64(g.metrics.Requests.WithLabelValues("", "other", "4xx")) == 50
	})
	if n := len(g.log.entries(t)); n != 1 {
		t.Errorf("%d lines of 50 requests on no path", n)
	}
}

func TestMetrics_countWhatHappened(t *testing.T) {
	g := newGateway(t, func(s *setup) { s.tick = 1e6 })
	c := dial(t, g.addr)
	for _, raw := range []string{
		signedCall(t, callBody("run1")),
		message("POST /api/inngest?probe=trust HTTP/1.1", "{}", "X-Inngest-Signature: "+sign(t, "{}")),
		message("PUT /api/inngest HTTP/1.1", "{}"),
		message("GET /api/inngest HTTP/1.1", "", "X-Inngest-Signature: "+sign(t, "")),
		message("GET /work/a HTTP/1.1", "", "X-Inngest-Signature: "+sign(t, ""), "X-Run-Id: run1"),
		message("GET /other HTTP/1.1", ""),
	} {
		c.send(raw)
		c.reply("POST")
	}
	eventually(t, "one of each kind is counted", func() bool {
		for _, kind := range []string{"call", "probe", "sync", "introspection", "durable"} {
			if testutil.ToFloat64(g.metrics.Requests.WithLabelValues("shop", kind, "2xx")) != 1 {
				return false
			}
		}
		return testutil.ToFloat64(g.metrics.Refusals.WithLabelValues("", "unknown_path")) == 1 &&
			testutil.ToFloat64(g.metrics.InFlight.WithLabelValues("shop")) == 0 &&
			testutil.ToFloat64(g.metrics.Connections.WithLabelValues()) == 1
	})
	if g.InFlight() != 0 {
		t.Errorf("InFlight = %d", g.InFlight())
	}
	if n := testutil.CollectAndCount(g.metrics.Duration); n != 5 {
		t.Errorf("%d phases are measured, want 5", n)
	}
}

func TestNew_refusesWhatIsMissing(t *testing.T) {
	var good Options
	g := newGateway(t, func(s *setup) { good = s.Options })
	good.Budget = g.budget
	for name, spoil := range map[string]func(*Options){
		"MaxHead": func(o *Options) { o.MaxHead = 0 }, "MaxURI": func(o *Options) { o.MaxURI = 0 }, "MaxBody": func(o *Options) { o.MaxBody = 0 },
		"MaxAnswer": func(o *Options) { o.MaxAnswer = 0 }, "MaxConnections": func(o *Options) { o.MaxConnections = 0 },
		"MinBodyRate": func(o *Options) { o.MinBodyRate = 0 }, "HeadTimeout": func(o *Options) { o.HeadTimeout = 0 },
		"IdleTimeout": func(o *Options) { o.IdleTimeout = 0 }, "WriteTimeout": func(o *Options) { o.WriteTimeout = 0 },
		"CompressFrom": func(o *Options) { o.CompressFrom = -1 }, "LogEvery": func(o *Options) { o.LogEvery = 0 },
		"Budget": func(o *Options) { o.Budget = nil }, "Metrics": func(o *Options) { o.Metrics = nil }, "Log": func(o *Options) { o.Log = nil },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New without %s = %v", name, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Errorf("New = %v", err)
	}
}

func TestNewTable_refusesWhatContradictsItself(t *testing.T) {
	var good Route
	newGateway(t, func(s *setup) { good = s.Route })
	with := func(change func(*Route)) []Route {
		r := good
		change(&r)
		return []Route{r}
	}
	second := good
	second.App, second.Path, second.Durable = "other", "/other", nil
	twin := second
	twin.Path = good.Path
	durable := second
	durable.Durable = []string{"/work"}
	for name, c := range map[string]struct {
		routes []Route
		says   string
	}{
		"no id":                   {with(func(r *Route) { r.App = "" }), "no id"},
		"path without a slash":    {with(func(r *Route) { r.Path = "api" }), `"api"`},
		"path with dots":          {with(func(r *Route) { r.Path = "/a/../b" }), "normalised"},
		"no upstream path":        {with(func(r *Route) { r.UpstreamPath = "" }), "upstream path"},
		"durable everything":      {with(func(r *Route) { r.Durable = []string{"/"} }), "durable"},
		"durable with a query":    {with(func(r *Route) { r.Durable = []string{"/a?b"} }), "durable"},
		"no outage budget":        {with(func(r *Route) { r.OutageBudget = 0 }), "OutageBudget"},
		"no pair":                 {with(func(r *Route) { r.Pair = nil }), "Pair"},
		"origin without a scheme": {with(func(r *Route) { r.Origins = []string{"app:80"} }), "app:80"},
		"public URL without host": {with(func(r *Route) { r.PublicURL = "/x" }), "public URL"},
		"two apps, one path":      {[]Route{good, twin}, `path /api/inngest is the path of app "shop"`},
		"two apps, one prefix":    {[]Route{good, durable}, "/work"},
	} {
		if _, err := NewTable(c.routes); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: NewTable = %v, want it to say %s", name, err, c.says)
		}
	}
	if _, err := NewTable([]Route{good, second}); err != nil {
		t.Errorf("NewTable = %v", err)
	}
}

func TestSwap_isForRequestsFromNowOn(t *testing.T) {
	var route Route
	g := newGateway(t, func(s *setup) { route = s.Route })
	for i := range 3 {
		route.Path = fmt.Sprintf("/api/%d", i)
		table, err := NewTable([]Route{route})
		if err != nil {
			t.Fatal(err)
		}
		g.Swap(table)
		body := callBody("run1")
		if r := g.ask(t, message("POST "+route.Path+" HTTP/1.1", body, "X-Inngest-Signature: "+sign(t, body))); r.StatusCode != 200 {
			t.Errorf("%s: answer = %d", route.Path, r.StatusCode)
		}
		if r := g.ask(t, signedCall(t, body)); r.StatusCode != 404 {
			t.Errorf("the path before: answer = %d", r.StatusCode)
		}
	}
}
