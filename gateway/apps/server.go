package apps

import "sync"

// server is what is known of one Inngest server.
type server struct {
	registrar Registrar
	dialect   Dialect // as configured

	mu         sync.Mutex
	inBandOnly bool // learnt: it had no /fn/register when it was asked last
}

// learn notes whether the server has /fn/register, and tells whether that is
// news.
func (s *server) learn(inBandOnly bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.inBandOnly != inBandOnly
	s.inBandOnly = inBandOnly
	return news
}

func (s *server) takes() Dialect {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dialect == DialectAuto && s.inBandOnly {
		return DialectInBand
	}
	return s.dialect
}

// hasNoRegister tells whether a status means that there is no /fn/register.
func hasNoRegister(status int) bool { return status == 404 || status == 405 || status == 410 }
