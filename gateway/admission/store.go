package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/inngest-gateway/inngest-gateway/statefile"
)

// State is what a room remembers over a restart.
type State struct {
	Pauses []Pause   `json:"pauses,omitempty"`
	Wait   WaitState `json:"wait,omitzero"`
}

// saveAgain is how long after a failure Run tries to save again.
const saveAgain = 10 * time.Second

// save brings the state to the store. What could not be saved is tried again.
func (r *Room) save() error {
	if r.opt.Store == nil {
		return nil
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	r.unsaved = false
	s := State{append([]Pause(nil), r.pauses...), r.patience.state()}
	r.mu.Unlock()
	err := r.opt.Store.Save(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.saveAt = time.Time{}
		return nil
	}
	r.unsaved, r.saveAt = true, time.Now().Add(saveAgain)
	return fmt.Errorf("keep the state of app %q: %w", r.opt.App, err)
}

// saveDue tells whether there is something to save that did not fail just now.
func (r *Room) saveDue(now time.Time) bool { return r.unsaved && !now.Before(r.saveAt) }

// A Folder keeps the states of rooms, each in a file of its own.
type Folder struct {
	dir string
	now func() time.Time
}

// NewFolder uses the folder dir, and makes it when something is to be kept.
func NewFolder(dir string, now func() time.Time) *Folder { return &Folder{dir, now} }

// App returns the store of one app's room.
func (f *Folder) App(id string) *File {
	return &File{filepath.Join(f.dir, statefile.Name(id)), f.now}
}

// A File keeps the state of one room.
type File struct {
	path string
	now  func() time.Time
}

// Load reads the state. A file that cannot be understood is set aside: the room
// is then like a new one.
func (f *File) Load() (State, error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		if _, rerr := statefile.SetAside(f.path, f.now()); rerr != nil {
			return State{}, fmt.Errorf("set damaged state aside: %w", errors.Join(err, rerr))
		}
		return State{}, nil
	}
	// Somebody may have set the clock back meanwhile: a pause is no longer than it
	// was to be.
	now := f.now()
	for i, p := range s.Pauses {
		if length := p.Until.Sub(p.Since); !p.Until.IsZero() && p.Until.Sub(now) > length {
			s.Pauses[i].Until = now.Add(length)
		}
	}
	return s, nil
}

// Save puts a state in the place of the last one. After a crash at any moment
// there is the old one or the new one, whole.
func (f *File) Save(s State) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return statefile.Save(f.path, append(text, '\n'))
}
