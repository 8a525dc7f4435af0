package admission

import "sync"

// shareOfFree is how many times what is still free in a lobby one room may have
// of it. So one that fills up leaves a quarter to the others, two of them a
// seventh, and an app that is away never takes the last place of one that comes
// after it.
const shareOfFree = 3

// A Lobby bounds what waits in all rooms of a process together: their calls
// have connections open, and their bodies lie in memory, which calls of apps
// that are well need too. It is safe for concurrent use.
type Lobby struct {
	maxCalls int
	maxBytes int64

	mu    sync.Mutex
	rooms int
	calls int
	bytes int64
}

// NewLobby returns a lobby for so many calls, with so many bytes of heads and
// bodies, both above 0.
func NewLobby(calls int, bytes int64) *Lobby { return &Lobby{maxCalls: calls, maxBytes: bytes} }

// join adds a room.
func (l *Lobby) join() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rooms++
}

// enter takes a place for a call of n bytes, for a room in which so many calls
// and bytes wait already, or tells why there is none.
func (l *Lobby) enter(calls int, bytes, n int64) (why reason, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.calls+1 > l.maxCalls || l.rooms > 1 && calls+1 > shareOfFree*(l.maxCalls-l.calls):
		return reasonLobbyCalls, false
	case l.bytes+n > l.maxBytes || l.rooms > 1 && bytes+n > shareOfFree*(l.maxBytes-l.bytes):
		return reasonLobbyBytes, false
	}
	l.calls++
	l.bytes += n
	return 0, true
}

// leave gives back the place of a call of n bytes.
func (l *Lobby) leave(n int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	l.bytes -= n
}

// held returns what waits.
func (l *Lobby) held() (calls int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls, l.bytes
}
