package outbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// text appends a string field.
func text(m []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func number(m []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), v)
}

func field(tb testing.TB, m []byte, n protowire.Number) string {
	tb.Helper()
	s, err := stringField(m, n)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// startAnswer is what a server says to a start request.
func startAnswer(endpoint, syncToken string) []byte {
	m := text(nil, 1, "connection-id")
	m = text(m, 2, endpoint)
	m = text(m, 3, "gw-dev")
	m = text(m, 4, "session-token")
	m = text(m, 5, syncToken)
	m = text(m, 99, "not known yet")
	return number(m, 100, 7)
}

// workerConnect is the first message of a worker.
func workerConnect(syncToken string) []byte {
	auth := text(text(nil, 1, "session-token"), 2, syncToken)
	data := text(text(nil, 1, "connection-id"), 3, string(auth))
	data = number(text(data, 5, "an app with its functions"), 14, 10)
	return text(number(nil, 1, 1), 2, string(data))
}

// connectDouble is an Inngest with the Connect API. Messages that workers send
// come out of said.
func connectDouble(t *testing.T) (d *inngestDouble, said chan []byte) {
	said = make(chan []byte, 10)
	d = newInngest(t, nil)
	d.reply(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v0/connect/start" {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(startAnswer("ws"+strings.TrimPrefix(d.url, "http")+"/v0/connect?a=b", bearer(r.Header.Get("Authorization"))))
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"v0.connect.inngest.com"}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.Write(context.Background(), websocket.MessageBinary, []byte("hello"))
		for {
			kind, m, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			said <- m
			ws.Write(context.Background(), kind, m)
		}
	})
	return d, said
}

// start asks for a connection and returns the answer's bytes.
func start(tb testing.TB, l *listener, authorization string) []byte {
	tb.Helper()
	res, body := l.do(tb, "POST", "/v0/connect/start", "\x0a\x03gw1", "Authorization: "+authorization, "Content-Type: application/protobuf", "Accept-Encoding: gzip")
	if res.StatusCode != 200 {
		tb.Fatalf("start = %d %s", res.StatusCode, body)
	}
	return []byte(body)
}

func TestServer_sendsWorkersToItself(t *testing.T) {
	for name, c := range map[string]struct {
		mode   apps.Mode
		key    string
		hidden bool // the worker must not see the real token
	}{
		"passthrough": {apps.Passthrough, realKey, false},
		"resign":      {apps.Resign, localKey, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, said := connectDouble(t)
			l := serve(t, options(t, d.url, c.mode))
			m := start(t, l, "Bearer "+token(t, c.key))
			if got := d.one(t); got.Header.Get("Accept-Encoding") != "" || got.Body != "\x0a\x03gw1" {
				t.Errorf("inngest got %v", got)
			}
			endpoint, syncToken := field(t, m, 2), field(t, m, 5)
			if !strings.HasPrefix(endpoint, "ws"+strings.TrimPrefix(l.url, "http")+ticketPath) || bytes.Contains(m, []byte(strings.TrimPrefix(d.url, "http"))) {
				t.Errorf("gateway_endpoint = %s, want one of %s", endpoint, l.url)
			}
			if shows := syncToken == token(t, realKey); shows == c.hidden {
				t.Errorf("sync_token = %s", syncToken)
			}
			want := startAnswer(endpoint, syncToken)
			if !bytes.Equal(m, want) {
				t.Errorf("the rest of the answer has changed: %q, want %q", m, want)
			}

			u, err := url.Parse(endpoint)
			if err != nil {
				t.Fatal(err)
			}
			ws := dial(t, l, u.Path, &websocket.DialOptions{Subprotocols: []string{"v0.connect.inngest.com"}, CompressionMode: websocket.CompressionContextTakeover})
			if got := d.one(t); got.Target != "/v0/connect?a=b" || ws.Subprotocol() != "v0.connect.inngest.com" || got.Header.Get("Authorization") != "" {
				t.Errorf("inngest got %v, the worker speaks %q", got, ws.Subprotocol())
			}
			if _, hello, err := ws.Read(context.Background()); err != nil || string(hello) != "hello" {
				t.Fatalf("hello = %q, %v", hello, err)
			}
			if err := ws.Write(context.Background(), websocket.MessageBinary, workerConnect(syncToken)); err != nil {
				t.Fatal(err)
			}
			if got, want := <-said, workerConnect(token(t, realKey)); !bytes.Equal(got, want) {
				t.Errorf("first message = %q, want %q", got, want)
			}
			if _, _, err := ws.Read(context.Background()); err != nil {
				t.Fatal(err)
			}
			// After it nothing is looked at.
			say(t, ws, websocket.MessageBinary, string(workerConnect(syncToken)))
			say(t, ws, websocket.MessageText, "no protobuf")
			ws.Close(websocket.StatusNormalClosure, "")
		})
	}
}

func TestServer_usesItsOwnURLForWorkers(t *testing.T) {
	d, _ := connectDouble(t)
	o := options(t, d.url, apps.Resign)
	o.AppsURL = "https://apps.example.test/gw/"
	l := serve(t, o)
	if got := field(t, start(t, l, "Bearer "+localKey), 2); !strings.HasPrefix(got, "wss://apps.example.test/gw"+ticketPath) {
		t.Errorf("gateway_endpoint = %s", got)
	}
}

func TestServer_passesNoStartAnswerThatItCannotRead(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"no protobuf": func(w http.ResponseWriter) { io.WriteString(w, "\xff\xff\xff") },
		"no endpoint": func(w http.ResponseWriter) { w.Write(text(nil, 5, token(t, realKey))) },
		"http scheme": func(w http.ResponseWriter) { w.Write(startAnswer("http://x/", "t")) },
		"no host":     func(w http.ResponseWriter) { w.Write(startAnswer("ws:///x", "t")) },
		"compressed": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(startAnswer("ws://x", "t"))
		},
		"without end": func(w http.ResponseWriter) {
			w.Write(text(startAnswer("ws://x", "t"), 77, strings.Repeat("x", 65<<10)))
		},
		"cut in a tag": func(w http.ResponseWriter) { w.Write(append(startAnswer("ws://x", token(t, realKey)), 0x0a, 9)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newInngest(t, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
			l := serve(t, options(t, d.url, apps.Resign))
			res, body := l.do(t, "POST", "/v0/connect/start", "", "Authorization: Bearer "+localKey)
			if res.StatusCode != 502 || strings.Contains(body, token(t, realKey)) {
				t.Errorf("answer = %d %q, want 502", res.StatusCode, body)
			}
			checkRefusal(t, res, body, false)
		})
	}
}

func TestServer_knowsItsTicketsAlone(t *testing.T) {
	d, _ := connectDouble(t)
	l := serve(t, options(t, d.url, apps.Strip))
	for target, want := range map[string]int{
		ticketPath + "nope":  404,
		ticketPath:           200, // passed on without anything
		"/gateway/connect":   200,
		ticketPath + "a/b/c": 200,
	} {
		d.reply(nil)
		res, _ := l.do(t, "GET", target, "", "Connection: Upgrade", "Upgrade: websocket")
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, res.StatusCode, want)
		}
	}
	id := l.tickets.put(ticket{endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}})
	if res, _ := l.do(t, "GET", ticketPath+id, ""); res.StatusCode != 400 || res.Header.Get(inngest.HeaderGatewayError) == "" {
		t.Errorf("without an upgrade: %d, want 400", res.StatusCode)
	}
	if res, _ := l.do(t, "GET", ticketPath+id, "", "Connection: Upgrade", "Upgrade: websocket"); res.StatusCode != 503 {
		t.Errorf("endpoint away: %d, want 503", res.StatusCode)
	}
}

func TestTickets_areBoundedInTimeAndNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := newTickets()
		first := tickets.put(ticket{syncToken: "first"})
		time.Sleep(ticketLife - time.Second)
		second := tickets.put(ticket{syncToken: "second"})
		if v, ok := tickets.get(first); !ok || v.syncToken != "first" {
			t.Error("the first is gone before its time")
		}
		time.Sleep(2 * time.Second)
		if _, ok := tickets.get(first); ok {
			t.Error("the first outlives its time")
		}
		for range maxTickets {
			tickets.put(ticket{})
		}
		if _, ok := tickets.get(second); ok || len(tickets.byID) != maxTickets || len(tickets.order) != maxTickets {
			t.Errorf("%d tickets, the oldest still there: %v", len(tickets.byID), ok)
		}
	})
}

// frames writes a message as a client would, in frames of some size.
func frames(tb testing.TB, opcode byte, message []byte, size int) []byte {
	tb.Helper()
	var out bytes.Buffer
	for first := true; first || len(message) > 0; first = false {
		n := min(size, len(message))
		head := opcode
		if !first {
			head = opContinuation
		}
		if n == len(message) {
			head |= frameFinal
		}
		if err := writeFrame(&out, head, message[:n]); err != nil {
			tb.Fatal(err)
		}
		message = message[n:]
	}
	return out.Bytes()
}

func TestPassGreeting_exchangesTheTokenHoweverItIsFramed(t *testing.T) {
	long := workerConnect("ticket")
	payload := []byte(field(t, long, 2))
	long = text(number(nil, 1, 1), 2, string(text(payload, 5, strings.Repeat("functions ", 20_000))))
	ping := frames(t, 9, []byte("ping"), 125)
	for name, in := range map[string][]byte{
		"one frame":           frames(t, opBinary, workerConnect("ticket"), 1<<20),
		"one byte a frame":    frames(t, opBinary, workerConnect("ticket"), 1),
		"64 bit length":       frames(t, opBinary, long, 1<<20),
		"16 bit length":       frames(t, opBinary, long, 60_000),
		"after a ping":        append(bytes.Clone(ping), frames(t, opBinary, workerConnect("ticket"), 1<<20)...),
		"after a text":        append(frames(t, 1, []byte("hi"), 99), frames(t, opBinary, workerConnect("ticket"), 1<<20)...),
		"after a heartbeat":   append(frames(t, opBinary, number(nil, 1, 9), 99), frames(t, opBinary, workerConnect("ticket"), 1<<20)...),
		"after an empty text": append(frames(t, 1, nil, 99), frames(t, opBinary, workerConnect("ticket"), 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := passGreeting(&out, bytes.NewReader(in), 1<<20, swapTicket); err != nil {
				t.Fatal(err)
			}
			var last []byte
			for out.Len() > 0 {
				_, m, err := readFrame(&out, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				last = m
			}
			auth := field(t, []byte(field(t, []byte(field(t, last, 2)), 3)), 2)
			if auth != "REAL" {
				t.Errorf("token = %q, want REAL", auth)
			}
		})
	}
}

func swapTicket(s string) string {
	if s == "ticket" {
		return "REAL"
	}
	return s
}

func TestPassGreeting_endsWhatItCannotRead(t *testing.T) {
	unmasked := []byte{frameFinal | opBinary, 2, 1, 2}
	for name, in := range map[string][]byte{
		"not masked":              unmasked,
		"compressed":              {frameFinal | 0x40 | opBinary, frameMasked | 1, 0, 0, 0, 0, 1},
		"continues nothing":       frames(t, opContinuation, []byte("x"), 9),
		"begins inside a message": append(frames(t, opBinary, []byte("abc"), 1)[:7], frames(t, opBinary, []byte("x"), 9)...),
		"too large":               frames(t, opBinary, make([]byte, 2000), 9999),
		"too large in parts":      frames(t, opBinary, make([]byte, 2000), 100),
		"declared beyond reason":  {frameFinal | opBinary, frameMasked | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"large ping":              frames(t, 9, make([]byte, 126), 999),
		"no protobuf":             frames(t, opBinary, []byte{0xff}, 9),
		"cut":                     frames(t, opBinary, []byte("abc"), 9)[:8],
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := passGreeting(&out, bytes.NewReader(in), 1000, swapTicket); err == nil {
				t.Errorf("passGreeting = nil, passed %x", out.Bytes())
			}
		})
	}
}

func FuzzPassGreeting(f *testing.F) {
	for _, m := range [][]byte{workerConnect("ticket"), number(nil, 1, 9), nil} {
		for _, size := range []int{1, 7, 1000} {
			var out bytes.Buffer
			for rest := m; ; {
				n := min(size, len(rest))
				writeFrame(&out, frameFinal|opBinary, rest[:n])
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
			}
			f.Add(out.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		err := passGreeting(&out, bytes.NewReader(in), 4096, func(s string) string { return s })
		// What comes out is frames again, of a client, and no more than came in.
		payloads := 0
		for out.Len() > 0 {
			_, m, err := readFrame(&out, 1<<20)
			if err != nil {
				t.Fatalf("output: %v", err)
			}
			payloads += len(m)
		}
		if payloads > len(in) {
			t.Errorf("%d bytes out of %d (%v)", payloads, len(in), err)
		}
	})
}

func FuzzReplaceField(f *testing.F) {
	f.Add(startAnswer("ws://x", "token"))
	f.Add(workerConnect("token"))
	f.Fuzz(func(t *testing.T, in []byte) {
		same := func(v []byte) ([]byte, error) { return v, nil }
		out, err := replaceField(in, 2, same)
		if err != nil {
			return
		}
		// Fields of other numbers stay, byte for byte and in order.
		var before, after []string
		collect := func(into *[]string) func(protowire.Number, protowire.Type, []byte, []byte) error {
			return func(n protowire.Number, typ protowire.Type, field, value []byte) error {
				if n == 2 && typ == protowire.BytesType {
					field = value
				}
				*into = append(*into, fmt.Sprintf("%d %d %x", n, typ, field))
				return nil
			}
		}
		if err := eachField(in, collect(&before)); err != nil {
			t.Fatal(err)
		}
		if err := eachField(out, collect(&after)); err != nil {
			t.Fatalf("output: %v", err)
		}
		if strings.Join(before, ";") != strings.Join(after, ";") {
			t.Errorf("fields changed:\n%v\n%v", before, after)
		}
	})
}
