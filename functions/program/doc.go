// Package program compiles and runs functions that are a list of steps in YAML:
// HTTP calls, waits and what Inngest's server does, joined by conditions, loops
// and variables. Expressions and templates are package expr's; what a step's
// result means to Inngest, retries and checkpoints are package functions' own;
// connections are the callee's that [Options].Call reaches.
//
// This is the reference of the language. docs/steps.md says the same for those
// who write programs.
//
// # How a program runs
//
// [Compile] reads the whole list and tells all that is wrong with it at once.
// [Driver.Advance] walks the program from its first statement, each time anew,
// over the run's memo: a step that is done gives what it gave, the first that is
// not stops its block, and what all blocks wait for is what the run wants next.
// [Driver.Execute] then makes one HTTP call or sends events. What is kept in
// between is in the [run.Run], and only to parse nothing twice: a run may go on
// in another process after any step.
//
// A run must take the same way each time. Therefore
//
//   - expressions know no clock and no chance, and ctx.attempt only in what a
//     step is made of;
//   - what is parallel is decided by place in the program, not by time: a
//     parallel block ends when all its branches have, and the first branch in the
//     order of the text (or of the items) that returned or failed decides;
//   - a branch sees neither the variables that another sets nor its steps.
//
// # Statements
//
// A statement is a group with exactly one of the keys below. Steps, which Inngest
// keeps the result of, also have an id, and may have "as", a name for steps.NAME
// if the id is none. Where a key takes a template, ${…} may stand in it.
//
//	get, post, put, patch, delete: URL   a call of a backend
//	    query, headers: group of templates; body: template
//	    timeout: 30s       the driver's if not set
//	    retries: 2         fewer than the function has
//	    expect: 200        or 4xx, or a list; 2xx if not set
//	    output: response   {status, headers, body} and not the body alone
//	sleep: 5m                            or an expression that gives a duration
//	sleepUntil: 2027-01-31T08:00:00Z     or a timestamp, or milliseconds
//	waitForEvent: {event, timeout, if}   if: for the server, over event and async
//	waitForSignal: {signal, timeout, onConflict: fail|replace}
//	sendEvent: {name, data, …}           or a list, or an expression
//	invoke: {function, app, data, user, v, timeout}
//	fetch: {url, method, query, headers, body, expect, output}   made by the server
//	ai: {format, url, key, headers, body}                        made by the server
//
//	if: EXPR, then: […], else: […]
//	switch: EXPR, cases: [{is: value or list, then: […]}], else: […]
//	forEach: EXPR, as: item, index: i, do: […]          one after the other
//	forEach: EXPR, parallel: 10, do: […]                so many at once
//	parallel: [statement or list, …]
//	try: […], catch: […], error: error
//	set: {name: template}
//	return: template
//	fail: message, or {name, message, data}
//
// EXPR is an expression with or without ${}.
//
// # Names
//
//	event, events   of the run
//	ctx             runId, functionId, maxAttempts, attempt
//	steps.ID        what a step gave; behind a loop the list of what its steps
//	                gave, null for those that did not run
//	vars.NAME       what set has set; all names of one set are set at once
//	item, error     loop variables and caught errors {name, message, stack, data}
//
// Whether a name can be known at its place is checked when the program is
// compiled; a step on another way than the one taken is "no such key" at run
// time, and has(steps.ID) tells.
//
// # Ids
//
// An id stands once in a program and is literal; within forEach it may hold
// ${…}. On the wire it is inngest.HashStepID of the id and, in loops, a number:
//
//   - in sequential loops the count of its occurrences, as SDKs count;
//   - in a parallel loop the number of the iteration: a count would depend on
//     which iteration is ahead;
//   - where both or several are nested, all numbers: id:0:2 is in iteration 0 of
//     the outer loop the iteration (or occurrence) 2 of the inner one.
//
// Two statements whose ids come out equal end the run.
//
// # Results
//
// A call's result is its body: JSON as it is, another text as a string, nothing
// as null. A status that is not expected is an error, by the table of package
// functions; one of 200 to 299 that is not expected may be retried. A fetch has
// the same results and errors, but the server takes every answer for a success:
// such an error is never retried.
//
// Requests have Accept, User-Agent, Idempotency-Key (run id, "/", hashed step
// id: the same for all attempts), the trace of the call, and a signature where
// one is configured. A body that is a text is sent as text/plain, any other as
// application/json; a content type of the step's own that says json makes a
// text JSON too.
//
// An event without an id gets one of run and step (run.IdentifyEvents): sent
// twice it counts once.
//
// # Errors
//
//	                    name              retried                    caught
//	a step's own        the backend's     while attempts are left    by try, afterwards
//	fail                as written        no                         yes
//	an expression       ExpressionError   no                         yes
//	a bound             LimitError        no                         no
//
// Uncaught, an error is the function's, and not retried: it would come again.
//
// # Bounds
//
// Of the text: 1000 statements, 32 levels of lists. Of a run: [Limits], and
// 500,000 units of CEL's cost for one evaluation, 10 million for all of one walk. Of a URL: 8 KiB.
//
// # Rerun with another input
//
// A call's body of up to 64 KiB is its step's input in the trace; a rerun with
// another one sends that instead. The URL stays.
package program
