package functions_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions"
)

// A told is what a conversation's backend hears of a step.
type told struct {
	Data  json.RawMessage
	Error *struct{ Name, Message string }
}

// A question is what a conversation's backend is asked.
type question struct {
	Event struct {
		Name string
		Data json.RawMessage
	}
	Events []json.RawMessage
	Ctx    struct {
		RunID, FunctionID    string
		Attempt, MaxAttempts int
	}
	Steps map[string]told
	Run   string
	Input json.RawMessage
}

// A talker is the backend of a conversation: next says what comes next, run
// makes a step and returns status and body. It counts.
type talker struct {
	next func(q *question) any
	run  func(q *question) (int, any)

	mu     sync.Mutex
	asked  int
	ran    map[string]int // by run and step, attempts that succeeded
	tried  map[string]int // by run and step, all
	header http.Header    // of the last request
}

func (k *talker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, body := http.StatusOK, any(nil)
	k.mu.Lock()
	k.header = r.Header.Clone()
	k.mu.Unlock()
	if q.Run == "" {
		body = k.next(&q)
		k.mu.Lock()
		k.asked++
		k.mu.Unlock()
	} else {
		k.count(&q, false)
		status, body = k.run(&q)
		if status < 300 {
			k.count(&q, true)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func (k *talker) count(q *question, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ran == nil {
		k.ran, k.tried = map[string]int{}, map[string]int{}
	}
	key := q.Ctx.RunID + " " + q.Run
	if ok {
		k.ran[key]++
	} else {
		k.tried[key]++
	}
}

func (k *talker) times(run, step string) (ran, tried int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ran[run+" "+step], k.tried[run+" "+step]
}

// questions counts what was asked so far.
func (k *talker) questions() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// conversation makes the driver of a talker.
func (k *talker) conversation(t testing.TB) *functions.Conversation {
	t.Helper()
	return newConversation(t, newBackend(t, k))
}

func newConversation(t testing.TB, b functions.Backend) *functions.Conversation {
	t.Helper()
	c, err := functions.NewConversation(functions.ConversationOptions{
		Backend: b,
		Send: func(_ context.Context, events json.RawMessage) (json.RawMessage, error) {
			var list []struct{ ID string }
			if err := json.Unmarshal(events, &list); err != nil {
				return nil, err
			}
			ids := make([]string, len(list))
			for i := range list {
				ids[i] = list[i].ID
			}
			return json.Marshal(ids)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// m is a JSON object.
type m = map[string]any

// inOrder makes next of a list of steps, one after the other, and of the result.
func inOrder(result func(q *question) any, steps ...m) func(q *question) any {
	return func(q *question) any {
		for _, s := range steps {
			if _, ok := q.Steps[s["id"].(string)]; !ok {
				return m{"steps": []m{s}}
			}
		}
		return m{"return": result(q)}
	}
}
