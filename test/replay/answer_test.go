package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// sdkAnswer is an answer that only differs from a recorded one in what the case
// is about.
func sdkAnswer(status int, body string, more ...string) message {
	header := fields("Content-Type", "application/json", inngest.HeaderSDK, "inngest-js:v4.24.0", inngest.HeaderRequestVersion, "2")
	return message{start: fmt.Sprintf("HTTP/1.1 %d Case", status), fields: append(header, fields(more...)...), body: []byte(body)}
}

// withLength says a length also where the body is empty.
func withLength(m message) message {
	m.fields = with(m.fields, "Content-Length", strconv.Itoa(len(m.body)))
	return m
}

func chunked(m message) message {
	m.fields = with(m.fields, "Transfer-Encoding", "chunked")
	return m
}

// The server would follow a redirect with body, signature and all headers, and
// call an app again at once, without end, that answers with no step.
func TestAnswers_thatWouldHarmARunAreRefused(t *testing.T) {
	const elsewhere = "http://169.254.169.254/latest/meta-data"
	cases := map[string]struct {
		answer message
		code   inngest.Code
	}{
		"an empty list":           {withLength(sdkAnswer(206, "[]")), inngest.CodeUpstreamEmpty},
		"an empty list, spaces":   {withLength(sdkAnswer(206, " [ \n] ")), inngest.CodeUpstreamEmpty},
		"an empty list, in parts": {chunked(sdkAnswer(206, "[ ]")), inngest.CodeUpstreamEmpty},
		"an empty list, packed":   {withLength(sdkAnswer(206, packed("[]"), "Content-Encoding", "gzip")), inngest.CodeUpstreamEmpty},
		"no SDK":                  {withLength(message{start: "HTTP/1.1 502 Bad Gateway", fields: fields("Server", "proxy"), body: []byte("<html>")}), inngest.CodeUpstreamUnready},
		"no SDK, not found":       {withLength(message{start: "HTTP/1.1 404 Not Found", body: []byte("Cannot POST")}), inngest.CodeUpstreamUnready},
		"an unknown coding":       {withLength(sdkAnswer(200, "x", "Content-Encoding", "compress")), inngest.CodeUpstreamEncoding},
		"the client's redirect of recording 125": {
			answerOf(recorded.One(t, 125)), inngest.CodeUpstreamRedirect,
		},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		cases[fmt.Sprintf("a redirect elsewhere, %d", status)] = struct {
			answer message
			code   inngest.Code
		}{withLength(sdkAnswer(status, "", "Location", elsewhere)), inngest.CodeUpstreamRedirect}
	}
	for name, location := range map[string]string{
		"without a scheme": "//evil.example/x", "backslashes": `/\evil.example/x`, "user": "http://127.0.0.1@evil.example/x",
	} {
		cases["a redirect elsewhere, "+name] = struct {
			answer message
			code   inngest.Code
		}{withLength(sdkAnswer(307, "", "Location", location)), inngest.CodeUpstreamRedirect}
	}

	eachMode(t, func(t *testing.T, m mode) {
		call := recorded.One(t, 5)
		app, server, at := startDouble(t), startDouble(t), &clock{}
		at.set(recorded.SignedAt(call.Request.Get(inngest.HeaderSignature)))
		cfg := m.appAt(app, "js-app", appPath)
		cfg.Upstream.Breaker.ConsecutiveFailures, cfg.Upstream.Breaker.FailureRatio = 1000, 0 // every case is to be heard
		g := startGateway(t, configuration(server, cfg), at)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				app.says(c.answer)
				answer := exchange(t, g.InngestAddr(), requestOf(call))
				wantRefusal(t, answer, 503, c.code)
				wait, err := strconv.Atoi(answer.get(inngest.HeaderRetryAfter))
				if err != nil || wait < 1 || time.Duration(wait)*time.Second > 24*time.Hour {
					t.Errorf("Retry-After = %q", answer.get(inngest.HeaderRetryAfter))
				}
				if n := len(app.got()); n != 1 {
					t.Errorf("the app was called %d times", n)
				}
			})
		}
	})
}

// A 201 whose step still runs sends white space. In every mode it passes at
// once, whatever becomes of the object that follows.
func TestAnswers_whiteSpaceOfA201PassesBeforeTheObject(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		x := recorded.One(t, 103)
		app, server, at := startDouble(t), startDouble(t), &clock{}
		at.set(recorded.SignedAt(x.Request.Get(inngest.HeaderSignature)))
		g := startGateway(t, configuration(server, m.appAt(app, "raw", pathOf(x))), at)
		running := make(chan struct{})
		ends := sync.OnceFunc(func() { close(running) })
		defer ends()
		answer, space := m.appAnswers(t, x), "      "
		answer.first, answer.then = len(space), running
		app.says(answer)

		c := &connection{address: g.InngestAddr()}
		defer c.close()
		if err := c.send(requestOf(x)); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for !bytes.Contains(all, []byte("\r\n"+space)) {
			line, err := c.reader.ReadBytes('\n')
			if all = append(all, line...); err != nil {
				t.Fatalf("before the step had ended came %q: %v", all, err)
			}
		}
		ends()
		rest, err := io.ReadAll(c.reader)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rest...)
		got, err := readMessage(bufio.NewReader(bytes.NewReader(all)))
		if want := m.wantAnswer(t, x, at.now()); err != nil || string(got.body) != string(want.body) {
			t.Errorf("answer = %q, %v, want the body %q", all, err, want.body)
		}
	})
}

// Redirects that stay with the app pass: a relative one as it is, one to the
// app's own origin becomes one to the gateway's.
func TestAnswers_redirectsThatStayPass(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		call := recorded.One(t, 5)
		app, server, at := startDouble(t), startDouble(t), &clock{}
		at.set(recorded.SignedAt(call.Request.Get(inngest.HeaderSignature)))
		cfg := m.appAt(app, "js-app", appPath)
		cfg.Upstream.Path = "/inner"
		whole := configuration(server, cfg)
		whole.PublicURL = publicOrigin
		g := startGateway(t, whole, at)
		for location, want := range map[string]string{
			"/elsewhere?a=1":         "/elsewhere?a=1",
			"?a=1":                   "?a=1",
			app.url() + "/other?a=1": publicOrigin + "/other?a=1",
			app.url() + "/inner?a=1": publicOrigin + appPath + "?a=1",
			"//" + app.address + "/": publicOrigin + "/",
		} {
			for _, status := range []int{301, 302, 303, 307, 308} {
				app.says(withLength(sdkAnswer(status, "", "Location", location)))
				answer := exchange(t, g.InngestAddr(), requestOf(call))
				if answer.status() != status || answer.get("Location") != want {
					t.Errorf("%d to %s: answer = %s to %q, want %q: %s", status, location, answer.start, answer.get("Location"), want, answer.body)
				}
			}
		}
	})
}

// Neither header nor target is signed: what they say of the run must be what
// the body says, or somebody on the way makes another call of it.
func TestIdentity_thatIsNotTheSignedOneReachesNoApp(t *testing.T) {
	header := func(name, value string) func(*message) {
		return func(m *message) { m.fields = with(m.fields, name, value) }
	}
	target := func(query string) func(*message) {
		return func(m *message) { m.start = "POST " + appPath + query + " HTTP/1.1" }
	}
	planned, targeted := recorded.One(t, 5), recorded.One(t, 10)
	cases := map[string]struct {
		call   recorded.Exchange
		change func(*message)
	}{
		"run":                    {planned, header(inngest.HeaderRunID, "01M85TYKKDVVHPHJVAC3R62DXC")},
		"job":                    {planned, header(inngest.HeaderJobID, "3kqe9vehqb3fv")},
		"generation":             {planned, header(inngest.HeaderGenerationID, "2")},
		"step of header, query":  {planned, header(inngest.HeaderStepID, "e4fbe62d887b8cdee986e6be781203d8d938bbd5")},
		"step of query, header":  {planned, target("?fnId=js-app-steps&stepId=e4fbe62d887b8cdee986e6be781203d8d938bbd5")},
		"two steps":              {planned, target("?fnId=js-app-steps&stepId=step&stepId=other")},
		"two steps, one encoded": {planned, target("?fnId=js-app-steps&stepId=step&%73tepId=other")},
		"two functions":          {planned, target("?fnId=js-app-steps&stepId=step&fnId=js-app-simple")},
		"targeted, other step":   {targeted, header(inngest.HeaderStepID, "step")},
	}
	eachMode(t, func(t *testing.T, m mode) {
		app, server, at := startDouble(t), startDouble(t), &clock{}
		g := startGateway(t, configuration(server, m.appAt(app, "js-app", appPath)), at)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				at.set(recorded.SignedAt(c.call.Request.Get(inngest.HeaderSignature)))
				request := requestOf(c.call)
				c.change(&request)
				wantRefusal(t, exchange(t, g.InngestAddr(), request), 400, inngest.CodeIdentityMismatch)
			})
		}
		if n := app.connections(); n != 0 {
			t.Errorf("the app saw %d connections", n)
		}
	})
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text)) // writing to memory cannot fail
	_ = z.Close()
	return b.String()
}
