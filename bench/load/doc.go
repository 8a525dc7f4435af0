// Package load sends signed call requests, or events as apps do, over raw
// connections and times the answers, as light on the processor as it can: it
// shares the machine with what it measures. Which processes it is pointed at is
// for package rig.
package load
