// Package examples holds functions without an SDK, their backends, and the
// tests that run them. It exports nothing: README.md says what is where.
package examples
