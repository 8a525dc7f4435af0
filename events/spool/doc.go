// Package spool keeps accepted events on disk until Inngest has them: batches
// in their order, dead letters beside them. What a batch is made of, when it is
// sent and again, and which key an id stands for is for package events.
//
// # What is stored
//
// A [Record] is one POST to Inngest: environment, id of the key, branch, seed,
// number of events, body as it goes out, trace headers. It is a message of a
// NATS JetStream stream, fields in headers, body as it is (compressed by record
// where that helps). No key and no secret is stored: KeyID is whatever name the
// caller can resolve later.
//
// The server runs in this process (Options.Dir) and listens nowhere, or it is
// somebody else's (Options.URL); both are used through the same client.
//
// # Promises
//
//   - [Spool.Append] has returned nil: the record is on disk, synced (of an
//     external server: stored on as many replicas as Options.Replicas says).
//   - Nothing accepted is dropped. At Options.MaxBytes, which counts dead letters
//     too, Append refuses with [ErrFull]. A record older than Options.MaxAge is
//     handed out as Expired and not to be delivered, because Inngest may have
//     forgotten its seed and would run it twice: who knows what is left of it
//     makes that a dead letter, which can be replayed.
//   - [Lane.Next] hands out the oldest record that nobody holds. Ack removes
//     it, Nak hands it out again after a delay, before which those behind it are
//     handed out, DeadLetter moves it.
//
// Records are handed out by [Lane], one for each destination: where one cannot be
// delivered to, the others go on. Beyond 64 destinations some share a lane.
//
// A record can be handed out twice: when the process ends before Ack, when
// Options.AckWait passes without one (see [Delivery.Extend]), or when it ends
// between the two halves of a move (spool to dead letters or back). An Append
// that returned an error may have stored its record all the same. The seed makes
// a second delivery harmless.
//
// # What it costs
//
// Next takes 0.2 ms however many records wait.
// Append and Ack are synced: each waits for the disk once. Ack of the only record
// of a file costs three times as much, because JetStream removes the file and
// begins another: 4.4 ms where one of many took 1.4 ms (64 KiB,
// v2.15.2, on a busy disk; a fifth of it on a quiet one). The server removes one
// record after the other, so who drains does not wait for Ack before the next
// record: nothing but a second delivery, which is harmless, depends on it.
//
// # Large records
//
// A record above the server's max_payload is stored in parts, the message with
// its fields last. Readers see that message only, so a record is there as a
// whole or not at all. Parts without it are what a crash left of a record that
// was never acknowledged, or was delivered already: Open removes and counts
// them, those of an external server once they are an hour old.
//
// # Damage
//
// JetStream ends a file of its log at the first record whose checksum is wrong
// and drops the rest of it: one flipped bit in 2,000 records of 10 KiB cost 782
// of them (v2.15.2). So Open reads the files before the embedded server does. A
// damaged one is copied to Dir/aside, byte by byte, then rewritten without what
// is damaged; the server takes the gaps for deleted messages. Compression is by
// record and not by file for the same reason. A missing or damaged description
// of a stream is set aside and written anew. If the server still cannot take a
// stream, its whole folder is moved to Dir/aside and an empty one is made. Each
// is logged and counted in [Stats]. All of it is read at the start, so a large
// backlog delays that.
//
// A message that cannot be decoded at delivery becomes a dead letter marked
// Damaged, as it is. Of a file that is missing or empty nothing can be told: the server
// removes files whose records are delivered, and begins with empty ones.
//
// # Full disks
//
// A stream that met a full disk once takes nothing more, whatever room there is
// later: each append then takes Options.OpTimeout, and what is removed comes again
// with the next start, until the server is started anew (v2.15.2). So Append
// refuses with [ErrFull] while less than Options.MinFree of the disk is left; what
// delivery writes fits in that. If somebody else takes the rest, [Spool.Run] mends
// it: when something has failed, or the server has complained, and there is room
// again, it tries whether both streams take a message, and if one does not, stops
// the server, repairs the files as Open does, and starts another beneath the same
// client. It does so again after Options.Sweep, then after twice as long each time
// that it does not help. [Stats] counts it. Nothing acknowledged is lost by it;
// records that were handed out are handed out again, those too whose Ack the
// stream could not write.
package spool
