package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// echo accepts a WebSocket and sends back what it gets until the other side
// closes it.
func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, Subprotocols: []string{"v0.connect.inngest.com"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	for {
		kind, text, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		if ws.Write(context.Background(), kind, text) != nil {
			return
		}
	}
}

func dial(tb testing.TB, l *listener, target string, o *websocket.DialOptions) *websocket.Conn {
	tb.Helper()
	if o == nil {
		o = &websocket.DialOptions{}
	}
	o.HTTPClient = l.client
	ws, res, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(l.url, "http")+target, o)
	if err != nil {
		tb.Fatalf("dial %s: %v (%v)", target, err, res)
	}
	tb.Cleanup(func() { ws.CloseNow() })
	return ws
}

func say(tb testing.TB, ws *websocket.Conn, kind websocket.MessageType, text string) {
	tb.Helper()
	if err := ws.Write(context.Background(), kind, []byte(text)); err != nil {
		tb.Fatal(err)
	}
	got, answer, err := ws.Read(context.Background())
	if err != nil || got != kind || string(answer) != text {
		tb.Fatalf("echo = %v %q, %v, want %d bytes", got, answer, err, len(text))
	}
}

func TestServer_passesWebSockets(t *testing.T) {
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover} {
		d := newInngest(t, echo)
		l := serve(t, options(t, d.url, apps.Resign))
		ws := dial(t, l, "/v1/realtime/connect?token=eyJ.x.y", &websocket.DialOptions{
			CompressionMode: mode,
			HTTPHeader:      http.Header{"Authorization": {"Bearer eyJ.own.token"}, "X-Forwarded-For": {"1.2.3.4"}},
		})
		ws.SetReadLimit(1 << 20)
		got := d.one(t)
		if got.Target != "/v1/realtime/connect?token=eyJ.x.y" || got.Header.Get("Authorization") != "Bearer eyJ.own.token" ||
			got.Header.Get("X-Forwarded-For") != "" || got.Host != strings.TrimPrefix(d.url, "http://") {
			t.Errorf("inngest got %v", got)
		}
		for _, text := range []string{"", "hello", strings.Repeat("long ", 100_000)} {
			say(t, ws, websocket.MessageText, text)
			say(t, ws, websocket.MessageBinary, text)
		}
		if err := ws.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

func TestServer_passesWhatIsSaidToARefusedUpgrade(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		io.WriteString(w, `{"error":"Not authenticated","status":401}`)
	})
	l := serve(t, options(t, d.url, apps.Resign))
	_, res, err := websocket.Dial(context.Background(), l.url+"/v1/realtime/connect?token=bad", &websocket.DialOptions{HTTPClient: l.client})
	if err == nil || res == nil || res.StatusCode != 401 {
		t.Fatalf("dial = %v, %v, want 401", res, err)
	}
	if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "Not authenticated") {
		t.Errorf("body = %q", text)
	}
}

func TestServer_upgradesOnlyWhereTheProtocolDoes(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Strip))
	for _, target := range []string{"/v1/runs/x", "/v2/apps", "/dev"} {
		res, _ := l.do(t, "GET", target, "", "Connection: Upgrade", "Upgrade: websocket", "Sec-Websocket-Key: x")
		if got := d.one(t); res.StatusCode != 200 || got.Header.Get("Upgrade") != "" || got.Header.Get("Connection") != "" {
			t.Errorf("%s: %d, inngest got %v", target, res.StatusCode, got.Header)
		}
	}
	// Other protocols than WebSocket are nowhere passed.
	l.do(t, "GET", "/v1/realtime/connect", "", "Connection: Upgrade", "Upgrade: h2c")
	if got := d.one(t); got.Header.Get("Upgrade") != "" {
		t.Errorf("inngest got %v", got.Header)
	}
}

func TestServer_refusesAnUpgradeThatNobodyAskedFor(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
		conn.Close()
	})
	l := serve(t, options(t, d.url, apps.Strip))
	for target, fields := range map[string][]string{
		"/v1/events":           nil,
		"/v1/realtime/connect": {"Connection: Upgrade", "Upgrade: websocket", "Sec-Websocket-Key: x", "Sec-Websocket-Version: 13"},
	} {
		res, body := l.do(t, "GET", target, "", fields...)
		if res.StatusCode != 502 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeInngestUnavailable) {
			t.Errorf("%s: %d %s, want 502", target, res.StatusCode, body)
		}
	}
}

func TestServer_closesWebSocketsThatFallSilent(t *testing.T) {
	gone := make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		echo(w, r)
	})
	o := options(t, d.url, apps.Resign)
	o.StreamIdle = 50 * time.Millisecond
	l := serve(t, o)
	ws := dial(t, l, "/v1/realtime/connect", nil)
	if _, _, err := ws.Read(context.Background()); err == nil {
		t.Error("Read = nil")
	}
	<-gone
}

func TestServer_closesOneSideWhenTheOtherGoes(t *testing.T) {
	gone := make(chan struct{})
	leave := make(chan struct{})
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		select {
		case <-leave:
		case <-ws.CloseRead(context.Background()).Done():
			close(gone)
		}
	})
	l := serve(t, options(t, d.url, apps.Resign))
	ws := dial(t, l, "/v1/realtime/connect", nil)
	ws.CloseNow() // the app
	<-gone
	ws = dial(t, l, "/v1/realtime/connect", nil)
	close(leave) // inngest
	if _, _, err := ws.Read(context.Background()); err == nil {
		t.Error("Read = nil")
	}
}

func TestServer_shutdownClosesWebSockets(t *testing.T) {
	d := newInngest(t, echo)
	l := serve(t, options(t, d.url, apps.Resign))
	ws := dial(t, l, "/v1/realtime/connect", nil)
	say(t, ws, websocket.MessageText, "hello")
	if err := l.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if _, _, err := ws.Read(context.Background()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want the end of the connection", err)
	}
}
