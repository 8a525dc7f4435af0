package inngest

// Identity says which piece of work a call request is, as its signed body
// tells it: headers are not signed.
type Identity struct {
	RunID       string
	FunctionID  string // the server's UUID of the function
	JobID       string
	RequestID   string
	StepID      string // "step": no targeted step
	Generation  int
	Attempt     int // from 0
	MaxAttempts int // 0 if the body does not say
	UseAPI      bool
}
