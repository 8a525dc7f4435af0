// Package schema checks the data of events against JSON Schemas and prints types
// made of the same schemas. It reads no files and no network: the configuration
// hands the texts over, and what a violation means for an event is up to package
// events.
//
// # Which schema
//
// A [Source] is one entry of events.schemas: a schema for the data of the event
// of that name, not for the whole event. With a version it is for events whose v
// is that text; without one for all other versions of that name, also for events
// without v. An event that no schema is meant for passes. Data that is absent or
// null is checked as an empty object, which is what a function sees.
//
// Any draft from 4 to 2020-12 goes, as $schema says; without $schema it is
// 2020-12. Formats are checked where the draft does so, which is up to draft 7;
// patterns are those of Go's regexp, so what matching costs is bounded. Numbers
// are compared exactly, except for those of more than 40 characters and those
// with exponents, which are rounded to a 64-bit float first, as Inngest does with
// all of them.
//
// # References
//
// $ref reaches whatever is among the sources, by $id or by the place it came
// from: a schema that came from /etc/schemas/order.json finds
// /etc/schemas/address.json as "address.json". A source without an event's name
// is there for others to refer to. Nothing else is loaded, whatever a $ref says.
//
// # Errors
//
// [Compile] returns [Problems]: everything that is wrong with any of the sources.
// A [Failure] says what an event violates and never what the event holds: its
// text may go to logs and to strangers.
//
// # Types
//
// [Set.Types] prints one type for each schema and for what it refers to. What a
// language's types cannot say (bounds, patterns, conditions) is left out, so a
// value of the type may still violate the schema; a valid value always fits the
// type. A schema that names no type is taken for one of what its keywords are
// about: properties make it an object. Names come from the events' names: order.created becomes OrderCreated,
// its version 2 OrderCreatedV2, a definition Address in it OrderCreatedAddress,
// one in a source without an event just Address.
package schema
