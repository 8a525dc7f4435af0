package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A topic is what subscribers subscribe to: a name on a channel.
type topic struct {
	Kind    string `json:"kind"`
	Env     string `json:"env_id"`
	Channel string `json:"channel"`
	Name    string `json:"name"`
}

// message is what subscribers get for one publish.
type message struct {
	Kind     string          `json:"kind"`
	Data     json.RawMessage `json:"data"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Created  time.Time       `json:"created_at"`
	Channel  string          `json:"channel,omitempty"`
	Env      string          `json:"env_id,omitempty"`
	Topic    string          `json:"topic"`
	Run      string          `json:"run_id,omitempty"`
}

// chunk is a part of a streamed publish.
type chunk struct {
	Kind   string `json:"kind"` // chunk
	Stream string `json:"stream_id"`
	Data   string `json:"data"`
	Run    string `json:"run_id,omitempty"`
}

// Limits of the recorded server.
const (
	maxMessage  = 512 << 10
	streamTopic = "$stream" // of everything that is published with /tee
	chunkBytes  = 1 << 10
)

// realtime passes messages from publishers to subscribers. It keeps none: who
// subscribes later has missed them.
type realtime struct {
	server *Server
	mu     sync.Mutex
	subs   map[string]map[*subscriber]bool // by channel and name
	all    map[*subscriber]bool
}

// A subscriber is one connection. Its connection's own goroutine writes.
type subscriber struct {
	frames chan []byte
	gone   chan struct{} // closed when the connection is to end or has ended
	once   sync.Once
}

func newSubscriber() *subscriber {
	return &subscriber{frames: make(chan []byte, 16), gone: make(chan struct{})}
}

func (sub *subscriber) leave() { sub.once.Do(func() { close(sub.gone) }) }

func newRealtime(s *Server) *realtime {
	return &realtime{server: s, subs: map[string]map[*subscriber]bool{}, all: map[*subscriber]bool{}}
}

// routes serves the API at both places where SDKs look for it.
func (rt *realtime) routes(mux *http.ServeMux) {
	for _, prefix := range []string{"/v1/realtime", "/realtime"} {
		mux.HandleFunc("POST "+prefix+"/token", rt.server.withKey(rt.handleToken))
		mux.HandleFunc("POST "+prefix+"/publish", rt.publisher(rt.handlePublish))
		mux.HandleFunc("POST "+prefix+"/publish/tee", rt.publisher(rt.handleTee))
		mux.HandleFunc("GET "+prefix+"/connect", rt.handleConnect)
		mux.HandleFunc("GET "+prefix+"/sse", rt.handleSSE)
	}
}

func topicKey(channel, name string) string { return channel + "\x00" + name }

func (rt *realtime) subscribe(sub *subscriber, topics []topic) {
	defer rt.changed()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.all[sub] = true
	for _, t := range topics {
		key := topicKey(t.Channel, t.Name)
		if rt.subs[key] == nil {
			rt.subs[key] = map[*subscriber]bool{}
		}
		rt.subs[key][sub] = true
	}
}

func (rt *realtime) unsubscribe(sub *subscriber, topics []topic) {
	defer rt.changed()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for _, t := range topics {
		rt.remove(topicKey(t.Channel, t.Name), sub)
	}
}

func (rt *realtime) remove(key string, sub *subscriber) {
	delete(rt.subs[key], sub)
	if len(rt.subs[key]) == 0 {
		delete(rt.subs, key)
	}
}

// drop ends a subscription.
func (rt *realtime) drop(sub *subscriber) {
	sub.leave()
	defer rt.changed()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	delete(rt.all, sub)
	for key := range rt.subs {
		rt.remove(key, sub)
	}
}

// changed wakes those who wait for the server to change. It is called without
// rt.mu: who waits may take that while holding the server's lock.
func (rt *realtime) changed() {
	rt.server.mu.Lock()
	defer rt.server.mu.Unlock()
	rt.server.notify()
}

// hangUp ends every subscription.
func (rt *realtime) hangUp() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for sub := range rt.all {
		sub.leave()
	}
}

// publish hands a frame to the subscribers of a topic. A slow one holds the
// publisher up, until that one gives up.
func (rt *realtime) publish(ctx context.Context, channel, name string, frame []byte) {
	rt.mu.Lock()
	var to []*subscriber
	for sub := range rt.subs[topicKey(channel, name)] {
		to = append(to, sub)
	}
	rt.mu.Unlock()
	for _, sub := range to {
		select {
		case sub.frames <- frame:
		case <-sub.gone:
		case <-ctx.Done():
			return
		}
	}
}

// handleToken is POST /v1/realtime/token (recording 92).
func (rt *realtime) handleToken(w http.ResponseWriter, r *http.Request) {
	jsonType(w)
	var topics []topic
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&topics); err != nil {
		rt.server.apiError(w, http.StatusBadRequest, "Invalid request: must provide a list of topics")
		return
	}
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"jwt": rt.server.subscribeToken(topics, subscribeLife)})
}

// publisher lets through who holds the signing key, or a token that says so.
func (rt *realtime) publisher(next http.HandlerFunc) http.HandlerFunc {
	withKey := rt.server.withKey(next)
	return func(w http.ResponseWriter, r *http.Request) {
		claims, err := rt.claims(r)
		switch {
		case err != nil:
			withKey(w, r)
		case !claims.Publish:
			rt.server.apiError(w, http.StatusUnauthorized, "Not authenticated for publishing")
		default:
			next(w, r)
		}
	}
}

// claims reads the token of a request, from its header or its query.
func (rt *realtime) claims(r *http.Request) (realtimeClaims, error) {
	var claims realtimeClaims
	token := bearer(r)
	if token == "" {
		token = r.URL.Query().Get("token")
	}
	err := rt.server.readToken(token, realtimeIssuer, &claims)
	return claims, err
}

// handlePublish is POST /v1/realtime/publish?channel=&topic= (recording 91).
func (rt *realtime) handlePublish(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m := message{
		Kind: "data", Channel: q.Get("channel"), Topic: q.Get("topic"), Env: envID, Run: q.Get("run_id"),
		Created: rt.server.opts.Clock.Now(),
	}
	if metadata := q.Get("metadata"); json.Valid([]byte(metadata)) {
		m.Metadata = json.RawMessage(metadata)
	}
	if r.Header.Get("Content-Type") == "text/stream" {
		rt.publishStream(w, r, m)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.Data = body
	if !json.Valid(body) {
		m.Data = marshal(string(body))
	}
	rt.publish(r.Context(), m.Channel, m.Topic, marshal(m))
}

// publishStream publishes a body in chunks as it comes.
func (rt *realtime) publishStream(_ http.ResponseWriter, r *http.Request, m message) {
	stream := spanID()
	m.Kind, m.Data = "datastream-start", marshal(stream)
	rt.publish(r.Context(), m.Channel, m.Topic, marshal(m))
	defer func() {
		m.Kind = "datastream-end"
		rt.publish(r.Context(), m.Channel, m.Topic, marshal(m))
	}()
	buf := make([]byte, chunkBytes)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			rt.publish(r.Context(), m.Channel, m.Topic, marshal(chunk{"chunk", stream, string(buf[:n]), m.Run}))
		}
		if err != nil {
			return
		}
	}
}

// handleTee is POST /v1/realtime/publish/tee?channel=: the raw bytes go to
// the channel's stream as they come in (recording 132).
func (rt *realtime) handleTee(w http.ResponseWriter, r *http.Request) {
	channel := r.URL.Query().Get("channel")
	if channel == "" {
		http.Error(w, "channel query parameter required", http.StatusBadRequest)
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			rt.publish(r.Context(), channel, streamTopic, append([]byte(nil), buf[:n]...))
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			rt.server.log.Warn("publish/tee ended early", "channel", channel, "err", err)
			http.Error(w, "Error forwarding data", http.StatusInternalServerError)
			return
		}
	}
}

// subscription finds the topics of a request to subscribe.
func (rt *realtime) subscription(w http.ResponseWriter, r *http.Request) ([]topic, bool) {
	claims, err := rt.claims(r)
	if err != nil {
		jsonType(w)
		rt.server.apiError(w, http.StatusUnauthorized, "Not authenticated")
		return nil, false
	}
	return claims.Topics, true
}

// handleSSE is GET /v1/realtime/sse: a subscription as server-sent events.
func (rt *realtime) handleSSE(w http.ResponseWriter, r *http.Request) {
	topics, ok := rt.subscription(w, r)
	if !ok {
		return
	}
	sub := newSubscriber()
	rt.subscribe(sub, topics)
	defer rt.drop(sub)
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	if out.Flush() != nil {
		return
	}
	for {
		select {
		case frame := <-sub.frames:
			if json.Valid(frame) {
				frame = append(append([]byte("data: "), frame...), "\n\n"...)
			} // what /tee brings is an event stream already
			if _, err := w.Write(frame); err != nil || out.Flush() != nil {
				return
			}
		case <-sub.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// bearer is the token of a request's Authorization header.
func bearer(r *http.Request) string {
	const scheme = "Bearer "
	text := r.Header.Get("Authorization")
	if len(text) < len(scheme) || text[:len(scheme)] != scheme {
		return ""
	}
	return text[len(scheme):]
}
