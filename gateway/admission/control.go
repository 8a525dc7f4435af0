package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A PauseRequest is what the admin listener takes at /control/pause and
// /control/resume.
type PauseRequest struct {
	Target  string  `json:"target"`                // APP or APP/FUNCTION
	Seconds float64 `json:"for_seconds,omitempty"` // of the pause; 0: until it is resumed
}

// A PauseAnswer is what it answers.
type PauseAnswer struct {
	App      string    `json:"app"`
	Function string    `json:"function,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Parked   int       `json:"parked_calls"` // of the app, now
}

// longestPause bounds pauses with an end. It is the slip of a finger that it is
// there for.
const longestPause = 366 * 24 * time.Hour

// Controls are what the admin listener does with rooms, by the id of their app.
func Controls(rooms map[string]*Room) map[string]func(context.Context, []byte) (any, error) {
	return map[string]func(context.Context, []byte) (any, error){
		"pause": func(_ context.Context, body []byte) (any, error) {
			return control(rooms, body, func(r *Room, function string, q PauseRequest) (until time.Time, err error) {
				length := time.Duration(q.Seconds * float64(time.Second))
				if q.Seconds < 0 || q.Seconds > longestPause.Seconds() {
					return until, fmt.Errorf("a pause of %v s is not possible: 0 has no end, %v is the longest", q.Seconds, longestPause)
				}
				if length > 0 {
					until = r.opt.Now().Add(length)
				}
				return until, r.Pause(function, until)
			})
		},
		"resume": func(_ context.Context, body []byte) (any, error) {
			return control(rooms, body, func(r *Room, function string, q PauseRequest) (time.Time, error) {
				err := r.Resume(function)
				if errors.Is(err, ErrNotPaused) {
					err = fmt.Errorf("%s is not paused%s", q.Target, r.pausedInstead())
				}
				return time.Time{}, err
			})
		},
	}
}

func control(rooms map[string]*Room, body []byte, do func(*Room, string, PauseRequest) (time.Time, error)) (any, error) {
	var q PauseRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("the request is not understood: %w", err)
	}
	r, function, err := find(rooms, q.Target)
	if err != nil {
		return nil, err
	}
	until, err := do(r, function, q)
	if err != nil {
		return nil, err
	}
	return PauseAnswer{App: r.opt.App, Function: function, Until: until, Parked: r.Status().Parked}, nil
}

// find returns the room that a target names. An app id may have slashes itself.
func find(rooms map[string]*Room, target string) (r *Room, function string, err error) {
	if r := rooms[target]; r != nil {
		return r, "", nil
	}
	for i := len(target) - 1; i > 0; i-- {
		if target[i] == '/' && i < len(target)-1 && rooms[target[:i]] != nil {
			return rooms[target[:i]], target[i+1:], nil
		}
	}
	known := strings.Join(slices.Sorted(maps.Keys(rooms)), ", ")
	return nil, "", fmt.Errorf("no app is called %q; there are: %s", target, known)
}

// pausedInstead names what is paused, for who asked for something else.
func (r *Room) pausedInstead() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, p := range r.pauses {
		name := r.opt.App
		if p.Function != "" {
			name += "/" + p.Function
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	return "; paused are: " + strings.Join(names, ", ")
}
