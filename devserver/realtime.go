package devserver

// realtime passes messages from publishers to subscribers.
type realtime struct{ server *Server }

func newRealtime(s *Server) *realtime { return &realtime{server: s} }

// hangUp closes every subscription.
func (*realtime) hangUp() {}
