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

	"github.com/inngest-gateway/inngest-gateway/spelling"
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
	Parked   int       `json:"parked_calls"`       // of the app, now
	NotKept  string    `json:"not_kept,omitempty"` // it is done, but a restart would undo it: why
}

// longestPause bounds pauses with an end. It is the slip of a finger that it is
// there for.
const longestPause = 366 * 24 * time.Hour

// missing says that a target names nothing that is there.
type missing string

func (m missing) Error() string  { return string(m) }
func (m missing) NotFound() bool { return true }

// Known returns the ids of an app's functions as calls have them, and what its
// SDK calls the app, which stands before them; none as long as they are not
// known.
type Known func(app string) (sdk string, functions []string)

// Controls are what the admin listener does with rooms, by the id of their app.
func Controls(rooms map[string]*Room, known Known) map[string]func(context.Context, []byte) (any, error) {
	return map[string]func(context.Context, []byte) (any, error){
		"pause": func(_ context.Context, body []byte) (any, error) {
			return control(rooms, body, func(r *Room, function string, q PauseRequest) (until time.Time, err error) {
				if q.Seconds < 0 || q.Seconds > longestPause.Seconds() {
					return until, fmt.Errorf("a pause of %s is not possible: %s is the longest, and 0 has no end", length(q.Seconds), length(longestPause.Seconds()))
				}
				if function, err = idOf(known, r.opt.App, function); err != nil {
					return until, err
				}
				if q.Seconds > 0 {
					until = r.opt.Now().Add(time.Duration(q.Seconds * float64(time.Second)))
				}
				return until, r.Pause(function, until)
			})
		},
		"resume": func(_ context.Context, body []byte) (any, error) {
			return control(rooms, body, func(r *Room, function string, q PauseRequest) (time.Time, error) {
				err := r.Resume(function)
				if id, unknown := idOf(known, r.opt.App, function); errors.Is(err, ErrNotPaused) && unknown == nil && id != function {
					err = r.Resume(id)
				}
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
	if err != nil && !errors.Is(err, ErrNotKept) {
		return nil, err
	}
	answer := PauseAnswer{App: r.opt.App, Function: function, Until: until, Parked: r.Status().Parked}
	if err != nil {
		answer.NotKept = err.Error()
	}
	return answer, nil
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
	return nil, "", missing(fmt.Sprintf("no app is called %q; there are: %s", target, nearestFirst(target, slices.Sorted(maps.Keys(rooms)))))
}

// idOf returns the name under which calls of a function are paused: its id, which
// people may write without the app's before it. A name that no function has is
// an error, unless the functions of the app are not known.
func idOf(known Known, app, function string) (string, error) {
	sdk, ids := known(app)
	if function == "" || len(ids) == 0 {
		return function, nil
	}
	var names []string
	for _, id := range ids {
		name := strings.TrimPrefix(id, sdk+"-")
		if function == id || function == name || function == strings.TrimPrefix(id, app+"-") {
			return strings.TrimPrefix(id, app+"-"), nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return "", missing(fmt.Sprintf("the app %s has no function %q; there are: %s", app, function, nearestFirst(function, names)))
}

// nearestFirst lists names for who wrote one that is not among them.
func nearestFirst(wrong string, names []string) string {
	if i := slices.Index(names, spelling.Nearest(wrong, names)); i > 0 {
		names = append([]string{names[i]}, slices.Delete(slices.Clone(names), i, i+1)...)
	}
	return strings.Join(names, ", ")
}

// length writes seconds as --for takes them.
func length(seconds float64) string {
	if most := time.Duration(1<<63 - 1); seconds > most.Seconds() || seconds < -most.Seconds() {
		return fmt.Sprintf("%g s", seconds)
	}
	text := time.Duration(seconds * float64(time.Second)).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
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
