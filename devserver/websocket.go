package devserver

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/coder/websocket"
)

// handleConnect is GET /v1/realtime/connect?token=: a subscription over a
// WebSocket (recording 124). The subscriber may add topics, with another
// token, and give some up.
func (rt *realtime) handleConnect(w http.ResponseWriter, r *http.Request) {
	topics, ok := rt.subscription(w, r)
	if !ok {
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any page may subscribe, as there
	if err != nil {
		rt.server.log.Warn("upgrade to a WebSocket", "err", err)
		return
	}
	defer conn.CloseNow()
	sub := newSubscriber()
	rt.subscribe(sub, topics)
	defer rt.drop(sub)
	// The request's context does not end with a hijacked connection, so
	// reading tells when the subscriber leaves.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer cancel()
		rt.read(ctx, conn, sub)
	}()
	defer func() {
		cancel()
		<-read
	}()
	for {
		select {
		case frame := <-sub.frames:
			if err := conn.Write(ctx, websocket.MessageText, frame); err != nil {
				return
			}
		case <-sub.gone:
			conn.Close(websocket.StatusGoingAway, "closing")
			return
		case <-ctx.Done():
			return
		}
	}
}

// read follows what a subscriber asks for until it leaves.
func (rt *realtime) read(ctx context.Context, conn *websocket.Conn, sub *subscriber) {
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var in struct {
			Kind string          `json:"kind"`
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(frame, &in) != nil {
			continue
		}
		switch in.Kind {
		case "sub":
			var token string
			var claims realtimeClaims
			if json.Unmarshal(in.Data, &token) == nil && rt.server.readToken(token, realtimeIssuer, &claims) == nil {
				rt.subscribe(sub, claims.Topics)
			}
		case "unsub":
			var topics []topic
			if json.Unmarshal(in.Data, &topics) == nil {
				rt.unsubscribe(sub, topics)
			}
		}
	}
}
