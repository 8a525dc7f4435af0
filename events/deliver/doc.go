// Package deliver brings batches of events to Inngest's event API, once ([Client])
// or from the spool until they are there ([Drainer]). What a batch is made of,
// and what its callers are told, is for package events.
//
// # One round
//
// [Client.Send] tries once and says for each event of a batch whether it was
// taken, was refused for good, or is left for later. What an answer means:
//
//	200 with ids          the events that have one are taken; the others are left
//	400, 422 with ids     see below
//	401, 403              the next key is tried, and first from then on for
//	                      Options.Remember; when none is left and Inngest itself
//	                      says so each time: ErrKeyRefused
//	413                   the batch is cut in halves, its size learnt; an event
//	                      that is too large alone is refused if there are ids in
//	                      the answer, else left, and the others go on
//	429, 503              left; with Retry-After nothing goes out to that account
//	                      before (ErrHeld), for an hour at most
//	anything else         left: another status, a redirect, no answer, half of
//	                      one, and a 200, 400 or 403 that is not Inngest's own
//
// What stands before Inngest answers too: proxies, firewalls, portals, and not
// always with a page. So Inngest's own word on events is what lists ids, which
// its answer always does, of a refused event an empty one; on a key, what
// repeats the status beside the error. Nothing else refuses an event. (v1.43
// has no answer about events but 200 and 400.)
//
// Inngest takes the events before a bad one and answers 400 with their ids, so
// these are taken, the next one goes alone, and the rest after it as one batch.
// Only an event that was refused alone is refused: a 400 for other reasons, as
// for too many events, costs nobody else. Of a server that refuses a batch as a
// whole, which shows when the first event alone is taken, halves are refused in
// turn down to the bad event.
//
// No event is delivered twice. What an answer says was taken is not sent again;
// what is sent again, because no answer came, carries the part of the seed that
// gives it the ids it had before, and Inngest de-duplicates by these. Should a
// server ignore seeds, Result.IDs has the ids that it gave, a metric and a log
// line tell it, and then repeats do run twice.
//
// # When Inngest is away
//
// Each environment has a breaker. Failures are: no answer within Options.Timeout,
// none at all, 5xx, and whatever has not the API's shape. 429, 413, 401, 403 and
// refused events are none, and neither is what the caller gives up. While it is
// open, Send sends nothing (ErrDown); half-open it lets one batch through, which
// is the probe. [Client.Up] asks whether it is closed.
//
// A learnt size ([Client.Limit]) and a hold are of an account, that is of a key
// whatever the branch. The size grows by a half every Options.Regrow until it
// reaches what the batcher makes anyway. Nothing learnt outlives the process.
//
// # The drain
//
// A [Drainer] has a worker for each lane of the spool. The oldest record is sent
// until each of its events was taken or refused, then the next one; so events of
// one destination go out in their order, but for what is set back (below), and one
// destination that is blocked holds up no other. At most
// DrainerOptions.Concurrency batches are on their way.
//
//   - Records whose ids continue each other, as package events makes them within a
//     second, go out in one POST, up to the size of a batch: a lane has one POST
//     on its way at a time, and the way may be long. The parts of such a POST
//     are settled as if each had gone alone. After a failure records go one by one
//     until one was delivered; when there was an answer that says nothing clear,
//     half as many as before go together then, and twice as many each time that
//     they are taken.
//   - Between attempts a lane waits: as long as Inngest asked for, else with a
//     back-off and jitter, but no longer once the environment's breaker has
//     closed. For more than a second the record goes back to the spool; which
//     events of it are left stays known.
//   - Claims on records are renewed every DrainerOptions.Extend for as long as
//     they are held. One that lapses all the same, or a spool that is started
//     anew, has records come again that are under way: they are not sent twice.
//   - Refused events become dead letters when their record ends: one letter
//     each, with the event's bytes, the seed that gives it the same id, and
//     Inngest's words. So does what is still left after MaxAge.
//   - A record is removed from the spool when all of it is settled, while the next
//     one is already on its way. If that fails it comes again and is removed
//     unsent.
//
// # What gets no clear answer
//
// An answer that is neither Inngest's word on the events nor says that Inngest is
// away (429, 503) may be about one event: a firewall dislikes it, Inngest fails on
// it. Such an event must not hold up those behind it, and a record must not be
// passed over because Inngest is ill. So after five of them in a row the first
// record is sent once more and, if it gets another one, a record behind it at
// once: the first behind it, the next time the second, up to 16; then a half of
// the first record itself, the other half, quarters, and so on. (Once something is
// set back in a lane, one such answer is enough to look.)
//
//   - If any of that is taken, Inngest is there. Records that were overtaken are
//     sent once more each, and those that still get no clear answer are set back:
//     pieces of them are sent and halved as long as some are taken, until the
//     events to blame are alone. What is left goes back to the spool for
//     DrainerOptions.SetBack, longer each time, and is tried again until it is too
//     old. Only that becomes a dead letter.
//   - If it gets no clear answer either, Inngest is ill: nothing is set back, and
//     all waits in its order.
//
// The two POSTs follow each other without a wait between them: else a record
// behind would overtake whenever Inngest comes back in between. The breaker hears
// nothing of answers to what is in doubt, which leaves its probe to the other one.
// What is known of a record that is set back ends with the process; the next one
// begins anew, with the same ids.
//
// At the end of Run records on their way go back. A crash between two of these
// steps repeats a delivery, with the same ids, or a dead letter.
package deliver
