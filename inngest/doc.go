// Package inngest holds the vocabulary of the Inngest protocol as pure data:
// header names, events, call requests, opcodes, function configuration,
// register payloads, step ids, seeded event ids and the gateway's error codes.
// It does no I/O and keeps no state; signing is package signature's job.
package inngest
