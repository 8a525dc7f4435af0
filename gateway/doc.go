// Package gateway puts everything together: it builds one gateway from a
// configuration, and owns its life cycle. What each part does is the part's
// own business.
//
// Start: all that can fail without side effects is built by [New]; [Gateway.Run]
// then opens the three listeners and starts one goroutine for each component
// that works in the background.
//
// Drain, when the context of Run ends, is one table ([Gateway.stopOrder]):
// readiness off, the configured delay, the listener that Inngest calls is
// emptied and closed, running calls finish, then the apps listener, the
// background work and the admin listener end.
package gateway
