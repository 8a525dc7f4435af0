// Package deliver brings batches of events to Inngest's event API, once or from
// the spool until they are there. What a batch is made of, and what its callers
// are told, is for package events.
package deliver
