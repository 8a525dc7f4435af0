package inngest

// An Opcode says what an SDK asks the server to do, one an operation. An op
// that the server does not know makes the whole 206 unreadable to it.
type Opcode string

// The opcodes that the server knows.
const (
	OpStep             Opcode = "Step"             // a step that ran; older form of StepRun
	OpStepRun          Opcode = "StepRun"          // a step that ran: data is its result
	OpStepError        Opcode = "StepError"        // a step that failed and may be retried
	OpStepFailed       Opcode = "StepFailed"       // a step that failed for good; the program may catch it
	OpStepPlanned      Opcode = "StepPlanned"      // a step that was found: call again with this stepId
	OpSleep            Opcode = "Sleep"            // see GeneratorOp.SleepText
	OpWaitForEvent     Opcode = "WaitForEvent"     // WaitForEventOpts; 366 days at most
	OpInvokeFunction   Opcode = "InvokeFunction"   // InvokeOpts
	OpWaitForSignal    Opcode = "WaitForSignal"    // WaitForSignalOpts
	OpRunComplete      Opcode = "RunComplete"      // the function returned data; with status 206
	OpSyncRunComplete  Opcode = "SyncRunComplete"  // RunComplete of a durable endpoint
	OpDiscoveryRequest Opcode = "DiscoveryRequest" // call me again; two with one id leave a run waiting
	OpAIGateway        Opcode = "AIGateway"        // AIGatewayOpts: the server asks a model
	OpGateway          Opcode = "Gateway"          // GatewayOpts: the server makes an HTTP request
	OpDeferAdd         Opcode = "DeferAdd"         // DeferAddOpts; rides along with another op, 20 a run
	OpDeferAbort       Opcode = "DeferAbort"       // DeferAbortOpts
)

// Known tells whether the server knows the opcode.
func (o Opcode) Known() bool {
	switch o {
	case OpStep, OpStepRun, OpStepError, OpStepFailed, OpStepPlanned, OpSleep, OpWaitForEvent,
		OpInvokeFunction, OpWaitForSignal, OpRunComplete, OpSyncRunComplete, OpDiscoveryRequest,
		OpAIGateway, OpGateway, OpDeferAdd, OpDeferAbort:
		return true
	}
	return false
}

// Checkpointable tells whether the server takes the opcode in a checkpoint,
// while the call still runs.
func (o Opcode) Checkpointable() bool {
	switch o {
	case OpStep, OpStepRun, OpStepPlanned, OpStepFailed, OpRunComplete, OpSyncRunComplete,
		OpDeferAdd, OpDeferAbort:
		return true
	}
	return false
}
