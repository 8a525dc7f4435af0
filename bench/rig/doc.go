// Package rig starts the processes that a measurement needs, each on loopback
// and ended by its own id, and reads what the kernel counted of them. What is
// done to them is for package load and the commands.
//
// A command that uses it runs itself again for the processes that it plays; see
// [Role]. The kernel's counters are those of Linux.
package rig
