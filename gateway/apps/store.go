package apps

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/inngest-gateway/inngest-gateway/statefile"
)

// A store keeps the last good manifest of each app in a file of its own.
type store struct {
	dir string
	now func() time.Time
}

// file is the content of such a file.
type file struct {
	Sum      string          `json:"sum"` // SHA-256 of Manifest without white space
	Manifest json.RawMessage `json:"manifest"`
}

// damage tells of a file that could not be read.
type damage struct {
	aside string // where it is now
	err   error
}

// openStore makes the folder and takes away what a crash left half written.
func openStore(dir string, now func() time.Time) (*store, error) {
	if err := statefile.Clean(dir); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return &store{dir, now}, nil
}

// load returns the manifest of an app, nil if there is none. A damaged file is
// set aside: the app is then like one that never registered.
func (s *store) load(app string) (*manifest, *damage, error) {
	path := filepath.Join(s.dir, statefile.Name(app))
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read kept manifest: %w", err)
	}
	m, err := readManifest(app, text)
	if err == nil {
		return m, nil, nil
	}
	aside, rerr := statefile.SetAside(path, s.now())
	if rerr != nil {
		return nil, nil, fmt.Errorf("set damaged manifest aside: %w", rerr)
	}
	return nil, &damage{aside, err}, nil
}

func readManifest(app string, text []byte) (*manifest, error) {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.Manifest); err != nil {
		return nil, err
	}
	if sum := sumOf(compact.Bytes()); sum != f.Sum {
		return nil, fmt.Errorf("its sum is %s, not %s", sum, f.Sum)
	}
	m := &manifest{}
	if err := json.Unmarshal(f.Manifest, m); err != nil {
		return nil, err
	}
	if m.App != app {
		return nil, fmt.Errorf("it is the manifest of app %q", m.App)
	}
	return m, m.setBody(m.Body)
}

// save puts a manifest in the place of the app's last one. After a crash at any
// moment there is the old one or the new one, whole.
func (s *store) save(m *manifest) error {
	var text bytes.Buffer
	if err := encode(&text, m); err != nil {
		return err
	}
	f := file{Sum: sumOf(text.Bytes()), Manifest: text.Bytes()}
	var whole bytes.Buffer
	if err := encode(&whole, f); err != nil {
		return err
	}
	return statefile.Save(filepath.Join(s.dir, statefile.Name(m.App)), append(whole.Bytes(), '\n'))
}

// encode writes v without white space and with & < > as they are: the bytes of
// a registration stay what they were.
func encode(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline
	return nil
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
