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

// save brings the state to the store.
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
	if err := r.opt.Store.Save(s); err != nil {
		return fmt.Errorf("keep the state of app %q: %w", r.opt.App, err)
	}
	return nil
}

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
