package functions

import "sync"

// maxNames bounds how many ids a conversation remembers, twice.
const maxNames = 10_000

// names remembers which step ids are behind the hashes on the wire. What it
// forgets is learnt again, so it may forget at any time: when the newer half is
// full it takes the place of the older one.
type names struct {
	mu           sync.Mutex
	newer, older map[string]string
}

func (n *names) of(hash string) (id string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok = n.newer[hash]; ok {
		return id, true
	}
	if id, ok = n.older[hash]; ok {
		n.put(hash, id)
	}
	return id, ok
}

func (n *names) learn(hash, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.newer[hash]; !ok {
		n.put(hash, id)
	}
}

// put notes an id. The caller holds the lock.
func (n *names) put(hash, id string) {
	if len(n.newer) >= maxNames {
		n.older, n.newer = n.newer, nil
	}
	if n.newer == nil {
		n.newer = make(map[string]string)
	}
	n.newer[hash] = id
}
