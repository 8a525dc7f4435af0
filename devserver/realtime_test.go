package devserver

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// subscribeToken asks for a token as recorded, for the topics given.
func subscribeToken(t *testing.T, base, topics string) string {
	t.Helper()
	r := record(t, "92")
	r.Request.Body = &topics
	status, h, body := r.Request.ask(t, base)
	if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
		t.Fatal(diff)
	}
	var answer struct{ JWT string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.JWT
}

// connect opens a WebSocket that is subscribed to the topics.
func connect(t *testing.T, s *Server, base, topics string) *websocket.Conn {
	t.Helper()
	s.realtime.mu.Lock()
	before := len(s.realtime.all)
	s.realtime.mu.Unlock()
	conn, _, err := websocket.Dial(soon(t), base+"/v1/realtime/connect?token="+subscribeToken(t, base, topics), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	subscribed(t, s, func(all, _ int) bool { return all > before })
	return conn
}

// subscribed waits for a number of connections and of subscriptions.
func subscribed(t *testing.T, s *Server, want func(connections, topics int) bool) {
	t.Helper()
	err := s.wait(soon(t), func() bool {
		s.realtime.mu.Lock()
		defer s.realtime.mu.Unlock()
		return want(len(s.realtime.all), len(s.realtime.subs))
	})
	if err != nil {
		t.Fatalf("waiting for subscriptions: %v", err)
	}
}

func readFrame(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_, frame, err := conn.Read(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

const newsTopic = `[{"channel":"room","name":"news","kind":"run"}]`

func TestRealtime_tokenIsAsRecorded(t *testing.T) {
	_, base := newServer(t, Options{})
	claims := func(token string) string {
		part := strings.Split(token, ".")[1]
		var v map[string]any
		if err := json.NewDecoder(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(part))).Decode(&v); err != nil {
			t.Fatal(err)
		}
		if life := v["exp"].(float64) - v["iat"].(float64); life != 60 {
			t.Errorf("token lives %v s, want 60", life)
		}
		delete(v, "exp")
		delete(v, "iat")
		return steady(string(marshal(v)))
	}
	var want struct{ JWT string }
	if err := json.Unmarshal([]byte(record(t, "92").Response.body(t)), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claims(want.JWT), claims(subscribeToken(t, base, newsTopic))); diff != "" {
		t.Errorf("claims differ (-recorded +given):\n%s", diff)
	}
}

func TestRealtime_publishesToWebSockets(t *testing.T) {
	s, base := newServer(t, Options{})
	first, second := connect(t, s, base, newsTopic), connect(t, s, base, newsTopic)
	other := connect(t, s, base, `[{"channel":"room","name":"else","kind":"run"}]`)
	r := record(t, "91")
	status, h, body := r.Request.ask(t, base)
	if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
		t.Error(diff)
	}
	for _, conn := range []*websocket.Conn{first, second} {
		var m message
		if err := json.Unmarshal([]byte(readFrame(t, conn)), &m); err != nil {
			t.Fatal(err)
		}
		if m.Kind != "data" || string(m.Data) != `{"n":7}` || m.Channel != "room" || m.Topic != "news" || m.Env != envID || m.Run == "" {
			t.Errorf("message = %+v", m)
		}
	}
	do(t, authorised(t, "POST", base+"/realtime/publish?channel=room&topic=else", "a text"))
	if frame := readFrame(t, other); !strings.Contains(frame, `"data":"a text"`) {
		t.Errorf("message = %s", frame)
	}
}

func TestRealtime_subscribersChangeTheirTopics(t *testing.T) {
	s, base := newServer(t, Options{})
	conn := connect(t, s, base, newsTopic)
	write := func(text string) {
		if err := conn.Write(soon(t), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"kind":"sub","data":"` + subscribeToken(t, base, `[{"channel":"room","name":"more","kind":"run"}]`) + `"}`)
	subscribed(t, s, func(_, topics int) bool { return topics == 2 })
	write(`{"kind":"sub","data":"not a token"}`)
	write(`{"kind":"unsub","data":` + newsTopic + `}`)
	subscribed(t, s, func(_, topics int) bool { return topics == 1 })
	do(t, authorised(t, "POST", base+"/v1/realtime/publish?channel=room&topic=news", "1"))
	do(t, authorised(t, "POST", base+"/v1/realtime/publish?channel=room&topic=more", "2"))
	if frame := readFrame(t, conn); !strings.Contains(frame, `"data":2`) {
		t.Errorf("message = %s, want the one of the new topic", frame)
	}
	conn.CloseNow()
	subscribed(t, s, func(connections, topics int) bool { return connections+topics == 0 })
}

func TestRealtime_teePassesBytesOnAsTheyCome(t *testing.T) {
	s, base := newServer(t, Options{})
	conn := connect(t, s, base, `[{"channel":"run1","name":"$stream","kind":"run"}]`)
	body, in := io.Pipe()
	req := authorised(t, "POST", base+"/v1/realtime/publish/tee?channel=run1", "")
	req.Body = body
	req.ContentLength = -1
	answered := make(chan int, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	for _, part := range []string{"event: a\n", "data: b\n\n"} {
		if _, err := io.WriteString(in, part); err != nil {
			t.Fatal(err)
		}
		if frame := readFrame(t, conn); frame != part { // before the next is sent
			t.Errorf("frame = %q, want %q", frame, part)
		}
	}
	in.Close()
	if status := next(t, answered); status != 200 {
		t.Errorf("tee = %d", status)
	}
}

func TestRealtime_publishesStreams(t *testing.T) {
	s, base := newServer(t, Options{})
	conn := connect(t, s, base, newsTopic)
	req := authorised(t, "POST", base+"/v1/realtime/publish?channel=room&topic=news", "streamed")
	req.Header.Set("Content-Type", "text/stream")
	do(t, req)
	kinds := []string{}
	for range 3 {
		var m struct{ Kind, Data string }
		if err := json.Unmarshal([]byte(readFrame(t, conn)), &m); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, m.Kind)
	}
	if diff := cmp.Diff([]string{"datastream-start", "chunk", "datastream-end"}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestRealtime_streamsServerSentEvents(t *testing.T) {
	s, base := newServer(t, Options{})
	for _, prefix := range []string{"/v1/realtime", "/realtime"} {
		req, err := http.NewRequestWithContext(soon(t), "GET", base+prefix+"/sse?token="+subscribeToken(t, base, newsTopic), nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("Content-Type = %q", resp.Header.Get("Content-Type"))
		}
		record(t, "91").Request.ask(t, base)
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, `data: {"kind":"data","data":{"n":7}`) {
			t.Errorf("line = %q, %v", line, err)
		}
		resp.Body.Close()
		subscribed(t, s, func(connections, _ int) bool { return connections == 0 })
	}
}

func TestRealtime_asksForATokenOrTheKey(t *testing.T) {
	_, base := newServer(t, Options{})
	for name, c := range map[string]struct {
		method, path, token string
		status              int
	}{
		"a subscription without a token":  {"GET", "/v1/realtime/connect", "", 401},
		"a subscription with a bad token": {"GET", "/v1/realtime/sse?token=a.b.c", "", 401},
		"a token with another's key":      {"POST", "/v1/realtime/token", "signkey-prod-00", 401},
		"publishing with a subscriber's":  {"POST", "/v1/realtime/publish?channel=room", "subscriber", 401},
		"publishing with nothing":         {"POST", "/v1/realtime/publish/tee?channel=room", "", 401},
		"a tee without a channel":         {"POST", "/v1/realtime/publish/tee", "key", 400},
		"a token for something else":      {"GET", "/v1/realtime/sse?token=RUN", "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(Options{SigningKey: testKey})
			if err != nil {
				t.Fatal(err)
			}
			req := authorised(t, c.method, base+strings.ReplaceAll(c.path, "RUN", s.runToken("x")), "[]")
			switch c.token {
			case "":
				req.Header.Del("Authorization")
			case "subscriber":
				req.Header.Set("Authorization", "Bearer "+subscribeToken(t, base, newsTopic))
			case "key":
			default:
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			if status, _, body := do(t, req); status != c.status {
				t.Errorf("answer = %d %s, want %d", status, body, c.status)
			}
		})
	}
}
