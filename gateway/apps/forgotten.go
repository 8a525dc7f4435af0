package apps

// Told returns the names under which apps are registered at a server, by their
// ids: those that it should know. Apps that it hears of in band alone, or
// without functions, are not among them.
func (r *Registry) Told(at Registrar) map[string]string {
	names := map[string]string{}
	for _, a := range r.apps {
		if m := a.manifest(); m != nil && a.Inngest == at && a.server.takes() != DialectInBand && len(m.register.Functions) > 0 {
			names[a.ID] = m.register.AppName
		}
	}
	return names
}

// TellAgain has the manifest of an app told now: its server has lost it.
func (r *Registry) TellAgain(id string) {
	if a := r.byID[id]; a != nil {
		a.hasten()
	}
}
