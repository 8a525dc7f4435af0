// Package breaker is the circuit breaker of one endpoint: it counts the
// verdicts on its calls and says whether it may get further ones. What a
// failure is, and how an endpoint is probed, is for package pool.
//
// A breaker has three states:
//
//	closed     calls pass. It opens after ConsecutiveFailures in a row, however
//	           far apart, or when at least FailureRatio of MinCalls or more
//	           within Window failed.
//	open       nothing passes for OpenFor.
//	half-open  calls do not pass; one probe at a time does. HalfOpenProbes good
//	           ones in a row close the breaker, a bad one opens it again.
//
// Calls never probe, because a step may run for two hours and nobody would know
// the verdict before its end. For the same reason a verdict counts when it
// comes and not when its call began: a call that ran into a timeout longer than
// Window is a failure of now. A verdict on a call that began before the state
// changed counts no more: neither does an old success close an open breaker nor
// an old failure open one that the probes have just closed.
package breaker
