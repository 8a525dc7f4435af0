// Package devserver is an Inngest server in memory, for development, demos and
// tests. It speaks the protocol of the self-hosted server 1.43 as recorded, so
// that apps with the official SDKs, and the gateway between, run against it
// unmodified. It keeps nothing, scales to one process, and must not be used to
// run what matters.
package devserver
