package sdk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/nodeapp"
)

// signingKeys are what an app has in each mode; in strip it has none.
func signingKeys() map[string]string {
	return map[string]string{"passthrough": productionKey, "resign": localKey, "strip": ""}
}

// The SDK gets its token, connects and publishes through the apps listener.
func TestRealtime_subscriberGetsWhatIsPublished(t *testing.T) {
	for mode, key := range signingKeys() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, devserver.Register, productionKey)
			_, gw := startBehindGateway(t, s, sdks()["go"], mode)
			got := nodeapp.Subscribe(t, nodeapp.Options{BaseURL: gw.appsURL, SigningKey: key, Dev: key == ""}, "room")
			if len(got) < 2 {
				t.Fatalf("the subscriber got %+v, want a message and the last one", got)
			}
			for i, m := range got {
				last := i == len(got)-1
				if m.Channel != "room" || m.Topic != "news" || m.Data.N != got[0].Data.N+i || m.Data.Last != last {
					t.Errorf("message %d of %d = %+v", i, len(got), m)
				}
			}
		})
	}
}

// Every piece of an upload is with its subscriber before the next is sent.
func TestRealtime_tenMegabytesArriveWhileTheyAreSent(t *testing.T) {
	for mode, key := range signingKeys() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, devserver.Register, productionKey)
			_, gw := startBehindGateway(t, s, sdks()["go"], mode)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			// A subscriber gets text, so the upload is text.
			random := make([]byte, 5<<20)
			rand.Read(random)
			frames := gw.subscribe(ctx, t, key, "run1", "$stream")
			from, to := io.Pipe()
			answer := gw.upload(ctx, t, key, "/v1/realtime/publish/tee?channel=run1", from)
			for i, piece := range []string{"first", hex.EncodeToString(random), "last"} {
				written := make(chan error, 1)
				go func() {
					_, err := io.WriteString(to, piece)
					written <- err
				}()
				got := readText(t, frames, answer, len(piece))
				if err := <-written; err != nil || got != piece {
					t.Fatalf("piece %d: %d bytes arrived that are not the %d sent, %v", i, len(got), len(piece), err)
				}
			}
			to.Close()
			if got := <-answer; got != "200" {
				t.Errorf("the upload was answered with %s", got)
			}
		})
	}
}

// readText reads text of a length from the frames of a subscription. An answer
// to the upload before that is an error.
func readText(t *testing.T, frames <-chan []byte, answer <-chan string, length int) string {
	t.Helper()
	var got bytes.Buffer
	for got.Len() < length {
		select {
		case frame, open := <-frames:
			if !open {
				t.Fatalf("the subscription ended after %d of %d bytes", got.Len(), length)
			}
			got.Write(frame)
		case status := <-answer:
			t.Fatalf("the upload ended after %d of %d bytes: %s", got.Len(), length, status)
		}
	}
	return got.String()
}

// request asks the gateway as an app with that signing key does.
func (gw gatewayUnderTest) request(ctx context.Context, t *testing.T, key, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, gw.appsURL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+signature.BearerToken(parseKey(t, key)))
	}
	return req
}

// upload sends a body of unknown length and returns where the status of the
// answer, or the error, will be.
func (gw gatewayUnderTest) upload(ctx context.Context, t *testing.T, key, target string, body *io.PipeReader) <-chan string {
	t.Helper()
	req := gw.request(ctx, t, key, target, body)
	answer, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			body.CloseWithError(err)
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		answer <- fmt.Sprint(resp.StatusCode)
	}()
	t.Cleanup(func() {
		body.Close()
		<-done
	})
	return answer
}

// subscribe subscribes to a topic through the apps listener and returns the
// frames that come, until ctx or the connection ends.
func (gw gatewayUnderTest) subscribe(ctx context.Context, t *testing.T, key, channel, topic string) <-chan []byte {
	t.Helper()
	topics := fmt.Sprintf(`[{"channel":%q,"name":%q,"kind":"run"}]`, channel, topic)
	resp, err := http.DefaultClient.Do(gw.request(ctx, t, key, "/v1/realtime/token", strings.NewReader(topics)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct{ JWT string }
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("token: %s, %v", resp.Status, err)
	}
	conn, _, err := websocket.Dial(ctx, gw.appsURL+"/v1/realtime/connect?token="+url.QueryEscape(token.JWT), nil)
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, gw.log())
	}
	conn.SetReadLimit(1 << 20)
	frames := make(chan []byte)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(frames)
		for {
			_, frame, err := conn.Read(ctx)
			if err != nil {
				return
			}
			select {
			case frames <- frame:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		conn.CloseNow()
		<-read // ctx has ended
	})
	// The server begins to read, and so to answer pings, after the subscription.
	if err := conn.Ping(ctx); err != nil {
		t.Fatalf("ping: %v", err)
	}
	return frames
}
