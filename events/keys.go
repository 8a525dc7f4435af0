package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
)

// keysFile is the name of the file in KeysOptions.Dir. It holds secrets.
const keysFile = "event-keys.jsonl"

// errNotKeepable says that a key that is not in the configuration cannot be
// stored, so neither can events under it.
var errNotKeepable = errors.New("event key is not in the gateway's configuration and cannot be kept")

// KeysOptions configures Keys.
type KeysOptions struct {
	// Configured has the real event keys of each environment, the current one
	// first.
	Configured map[string][]string

	// Dir is where keys are kept that events in the spool need: the text of
	// those that are not configured, only the id of those that are. Empty:
	// nowhere, as for a spool that other gateways drain too; then events under
	// a key that is not configured are never spooled.
	Dir string

	Max int // keys that are not configured, > 0
}

// Keys knows the real event keys by their ids: those of the configuration, and
// those that apps bring themselves.
type Keys struct {
	dir        string
	max        int
	configured map[string][]string
	ids        map[keyName]int      // of configured keys: their positions
	texts      map[[2]string]string // environment and text of configured keys: their ids

	mu    sync.Mutex
	clock uint64
	known map[keyName]*knownKey
	file  *os.File // nil until a key is kept
}

type keyName struct{ environment, id string }

type knownKey struct {
	text string // empty: it was a configured one when it was kept
	kept bool   // is in the file
	used uint64
}

// keptKey is a line of the file.
type keptKey struct {
	Environment string `json:"environment"`
	ID          string `json:"id"`
	Key         string `json:"key,omitempty"`
}

// NewKeys makes the keys and reads those that were kept.
func NewKeys(o KeysOptions) (*Keys, error) {
	if o.Max <= 0 {
		return nil, fmt.Errorf("events: Max is %d, must be above 0", o.Max)
	}
	k := &Keys{dir: o.Dir, max: o.Max, configured: o.Configured, known: map[keyName]*knownKey{}, ids: map[keyName]int{}, texts: map[[2]string]string{}}
	for environment, keys := range o.Configured {
		for i, key := range keys {
			id := deliver.KeyID(key)
			k.ids[keyName{environment, id}] = i
			k.texts[[2]string{environment, key}] = id
		}
	}
	if o.Dir == "" {
		return k, nil
	}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("events: kept keys: %w", err)
	}
	return k, nil
}

// read takes what is in the file. A line that cannot be read is what a crash
// left: nothing was spooled under its key.
func (k *Keys) read() error {
	text, err := os.ReadFile(filepath.Join(k.dir, keysFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(text) {
		var one keptKey
		if json.Unmarshal(line, &one) == nil && one.ID != "" {
			k.known[keyName{one.Environment, one.ID}] = &knownKey{text: one.Key, kept: true}
		}
	}
	return nil
}

// EventKeys returns the keys to try for an id, the one that it names first. An id
// that was a configured key's once stands for those configured now. Without a
// Dir nothing but such ids is ever spooled.
func (k *Keys) EventKeys(environment, keyID string) (keys []string, ok bool) {
	configured := k.configured[environment]
	if i, ok := k.ids[keyName{environment, keyID}]; ok {
		if i == 0 {
			return configured, true
		}
		return slices.Concat(configured[i:i+1], configured[:i], configured[i+1:]), true
	}
	k.mu.Lock()
	known := k.known[keyName{environment, keyID}]
	k.mu.Unlock()
	switch {
	case known != nil && known.text != "":
		return []string{known.text}, true
	case known != nil || k.dir == "":
		return configured, len(configured) > 0
	}
	return nil, false
}

func (k *Keys) isConfigured(environment, keyID string) bool {
	_, ok := k.ids[keyName{environment, keyID}]
	return ok
}

// note remembers the key of a request, for as long as the process runs and there
// is room, and returns its id.
func (k *Keys) note(environment, key string) string {
	if id, ok := k.texts[[2]string{environment, key}]; ok {
		return id
	}
	id := deliver.KeyID(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clock++
	name := keyName{environment, id}
	known := k.known[name]
	if known == nil {
		k.makeRoom()
		known = &knownKey{}
		k.known[name] = known
	}
	// What was configured once and is not now is a key that the app brings.
	known.kept = known.kept && known.text == key
	known.text, known.used = key, k.clock
	return id
}

// makeRoom forgets the key that was not used for longest, unless events in the
// spool need it.
func (k *Keys) makeRoom() {
	if len(k.known) < k.max {
		return
	}
	var oldest keyName
	var used uint64
	for name, known := range k.known {
		if !known.kept && (used == 0 || known.used < used) {
			oldest, used = name, known.used
		}
	}
	if used != 0 {
		delete(k.known, oldest)
	}
}

// keep makes sure that a key outlives the process. It comes before the first
// event under the key goes to the spool.
func (k *Keys) keep(environment, keyID string) error {
	configured := k.isConfigured(environment, keyID)
	if k.dir == "" {
		if configured {
			return nil
		}
		return errNotKeepable
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := keyName{environment, keyID}
	known := k.known[name]
	switch {
	case known != nil && known.kept:
		return nil
	case known == nil && !configured:
		return errNotKeepable
	case known == nil:
		known = &knownKey{}
	case len(k.known) > k.max:
		return fmt.Errorf("%w: there are %d already", errNotKeepable, k.max)
	}
	if err := k.append(keptKey{environment, keyID, known.text}); err != nil {
		return fmt.Errorf("keep event key: %w", err)
	}
	known.kept = true
	k.known[name] = known
	return nil
}

// append writes one line and syncs it. It begins with a line break, in case a
// crash or a full disk has cut the one before.
func (k *Keys) append(one keptKey) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if k.file == nil {
		if k.file, err = createSynced(filepath.Join(k.dir, keysFile)); err != nil {
			return err
		}
	}
	if _, err = k.file.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return err
	}
	return k.file.Sync()
}

// Close closes the file of kept keys. Nothing may be kept any more.
func (k *Keys) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == nil {
		return nil
	}
	err := k.file.Close()
	k.file = nil
	return err
}

// createSynced opens a file of secrets for appending. The file's name is on disk
// when it returns.
func createSynced(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
