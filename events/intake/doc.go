// Package intake reads the body of a request to /e/{key} into events and says
// precisely what is wrong with one that Inngest would refuse. It sends and keeps
// nothing, and knows no keys: that is package events.
//
// # What is taken
//
// The verdict on a body is the server's own, because a bad event that passes
// here makes a whole batch fail there, and a good one refused here is lost. So
// the scanner follows encoding/json, which the server decodes with, and
// FuzzRead holds it to that:
//
//   - Names of members match in any letter case (NAME, and tſ for ts). Of
//     several that match, the last one that is not null wins, but a wrong type in
//     any of them is an error. Of several data the later keys are laid over the
//     earlier ones; of several meta the last one counts, and all must be readable.
//   - Bytes that are no UTF-8, and lone surrogates, become U+FFFD in names and
//     ids. The event itself leaves as it came.
//   - A number in data or user must fit a 64-bit float, ts must be written as a
//     64-bit integer, values nest at most 10,000 deep. The server multiplies ts
//     by a million without a look at the overflow; so does this.
//   - An empty body and an empty array are no events and no error. An array needs
//     no end: what follows its bracket is ignored, and a body that ends between
//     two elements ends the array.
//   - The content type matters for forms alone, and only where the body does not
//     begin like JSON: curl -d sends JSON as a form. Every real form is refused.
//
// It differs on purpose in five points:
//
//   - A request with a bad event is refused whole. The server takes the events
//     before the bad one, and the first 5,000 of 5,001.
//   - Objects one after the other, newline-delimited JSON or not, are taken. Where
//     the content type is one for lines (application/x-ndjson, application/jsonl)
//     a line may also be an array, and then nothing after its bracket is ignored.
//   - Names longer than 512 bytes are refused. The server has that limit in its
//     newer API only.
//   - White space after a single object does not count for its size.
//   - CloudEvents are taken.
//
// # CloudEvents
//
// In structured mode (application/cloudevents+json), as a batch
// (application/cloudevents-batch+json) and in binary mode (ce-* headers), at
// specversion 1.0. type becomes the event's name, time its ts; id and data keep
// their names. The other attributes are dropped, as the server drops members
// that it does not know: a source that matters belongs into data. The id is what
// Inngest de-duplicates by, so two sources that send the same type must not
// count their ids alike. data must be a JSON object, in data_base64 too.
//
// # Errors
//
// An [Error] names the event by its index, the member, and the [Rule], which is
// from a closed list. Its message is the server's sentence where the server has
// one for people. The answers' JSON is made by [AppendAccepted],
// [AppendRefused] and [AppendUnknownKey] in the server's shapes.
//
// # Memory
//
// An [Event] is made of slices of the body: the body must not change while an
// event of it is in use. Texts with escapes are the only bytes that are copied.
// [Inflate] bounds what a coded body may become.
package intake
