// Package events takes the events of apps and brings them to Inngest: it checks
// them, gives them their ids, makes batches of many requests, and says to each
// caller what became of its own. How a batch reaches Inngest is for
// events/deliver, where it waits on disk for events/spool, how a body is read for
// events/intake.
//
// # The stages of an event
//
//	accept.go   Plane.Accept: a seed of the caller's own that was seen before?
//	            then the answer of then. Read, check, schemas, rate.
//	dedupe.go   events whose id was seen before are not sent again (events.dedupe)
//	lane.go     the batcher of one environment, event key and branch
//	send.go     a batch gets its ids and goes to Inngest, or to the spool
//	answer.go   each caller gets the ids of its own events, or what is wrong
//
// A request is never cut: its events stand in one batch, in a row. A batch goes at
// once while nothing else of its destination is on its way. Otherwise it gathers
// until the one before has its answer, or events.batch.max_events, max_bytes or
// max_wait is reached; at most in_flight are on their way. So a lone event waits
// for nobody, and under load batches grow by themselves. A limit that
// events/deliver has learnt from Inngest counts as max_bytes.
//
// # What is safe when the caller has its 200
//
//   - ModeHybrid: Inngest has the event; or Inngest did not take it, or not in
//     time, and it is in the spool.
//   - ModeDurable: it is in the spool.
//   - ModeNone, without state_dir and spool.url: Inngest has it. While Inngest is
//     away a batch is tried again for Options.GiveUp, then its callers get 503.
//
// In ModeHybrid batches also go to the spool that wait for their turn for longer
// than Options.Patience, and all that wait once half of events.memory is in use:
// a slow Inngest costs disk, not memory. At the bound itself a request gets 503
// memory_exhausted. What is spooled may arrive after events that came later and
// went straight to Inngest. Coded bodies are inflated a few at a time, as many as
// would fit into that memory.
//
// # Ids, and what can arrive twice
//
// The gateway chooses the seed of each batch (inngest.HeaderEventIDSeed), so the
// id of every event is known before anything is sent and stays the same however
// often the batch is sent and wherever it is cut. Seeds of one destination
// continue each other for a second, so that the drain can send small records
// together. Inngest starts one run for one id: a second delivery does no harm
// within its window of 24 hours. Should Inngest not know the header,
// events/deliver reports the ids that it gave, and those are answered.
//
// A caller that brings a seed of its own, as the JavaScript SDK always does, is
// batched like others. Its key, seed and body name the request: a repeat within
// Options.SeedWindow gets the same ids. It is not sent again when all of the
// first is safe, and sent again under the same ids when nobody knows. What is
// assigned is written to Options.SeedDir before a batch goes anywhere, so this
// holds after a kill; before a batch goes to the spool it is synced, so there it
// holds after a power failure too. If that cannot be written, as while another
// process has that folder, ModeDurable refuses the events; ModeHybrid takes them.
// After a failure a file is begun with all that is known, at most once a second.
// More than Options.MaxSeeds requests within the window are too many: the oldest
// are forgotten and counted.
//
// Without a seed a caller that repeats a request sends new events. That includes
// one that got a 503 although its events were taken in the end.
//
// Events that carry an id of their sender are sent once within
// events.dedupe.window, if that is set: same environment, key, branch, name and
// id. An event of which the first is under way waits for it. This does not outlive
// the process; Inngest knows ids of senders too. A request of which some events
// were known, and that had a seed, is remembered by this process only.
//
// # Refusals
//
// A request with an event that Inngest would refuse, or that a schema of mode
// enforce does, is refused whole, before any of it is sent. An event that Inngest
// refuses all the same is found by events/deliver without sending the others
// twice. Only its own caller hears of it, with a 400 that names the event's index;
// the others of that request were taken: their ids are in the answer, in the
// place of the refused one stands an empty text. A request of which something
// could not be delivered gets a 503 even if other events of it were refused: it
// has to come again.
//
// An event key that is not in the configuration is passed on, because Inngest
// knows more keys than the gateway. If Inngest does not know it either, its caller
// gets Inngest's 401. If Inngest refuses a configured key, the events go to the
// spool: the configuration is wrong, not the caller. See [Keys] for how a key
// outlives the process while its events are in the spool.
//
// # Traces
//
// An event's run continues the trace of the POST that brought it, and a POST has
// one traceparent. events.trace says what to do with requests of different ones:
// batch (they share a POST that has none; a lone event keeps its own), keep
// (batches of their own for each trace, which costs most of the batching where
// every request has a trace), drop.
package events
