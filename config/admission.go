package config

import (
	"errors"
	"time"
)

// Wait is the waiting room of an app.
type Wait struct {
	// How long a call may wait for the app, from its signature on: while the app
	// is away, at its limit of concurrency, or paused. auto begins with 50 s and
	// learns how long callers really wait, up to 4 minutes. Longer than 5 minutes
	// only where the gateway signs for the app; 0s: calls never wait.
	Max WaitMax `koanf:"max"`

	// Calls that may wait at once. The last tenth is for runs without another
	// attempt.
	MaxCalls int `koanf:"max_calls"`

	// Bytes of the calls that may wait at once; a percentage is one of what
	// limits.memory leaves for bodies.
	MaxBytes Portion `koanf:"max_bytes"`
}

// Concurrency bounds the calls that an app has at once.
type Concurrency struct {
	// Calls that it may have even under load.
	Min int `koanf:"min"`

	// Calls that it may have.
	Max int `koanf:"max"`

	// Lower the limit while the app shows load (refused connections, 429 and
	// 503 of what stands before it, slow connects, slow probes where they have
	// an interval), and raise it again. How long steps take says nothing.
	Adaptive bool `koanf:"adaptive"`
}

// Guard is what is done about duplicates of a call.
type Guard struct {
	// Let a call that repeats one on its way (same run, job, generation, attempt
	// and step) wait for that one's answer instead of reaching the app.
	Enabled bool `koanf:"enabled"`

	// Keep an answer that did not reach Inngest for so long, and give it to the
	// next call for the same work, also of a newer generation. Only with
	// checkpointing: false; 0s: never.
	Replay time.Duration `koanf:"replay"`

	// Bytes of answers that are kept for that.
	ReplayBytes Size `koanf:"replay_bytes"`
}

// A WaitMax is how long calls may wait: a duration, or auto.
type WaitMax struct {
	Auto bool
	For  time.Duration // if not auto
}

const autoWait = "auto"

var errNotWait = errors.New("neither auto nor a duration")

// UnmarshalText reads auto or a duration.
func (w *WaitMax) UnmarshalText(text []byte) error {
	if string(text) == autoWait {
		*w = WaitMax{Auto: true}
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return errNotWait
	}
	*w = WaitMax{For: d}
	return nil
}

// String writes what UnmarshalText reads.
func (w WaitMax) String() string {
	if w.Auto {
		return autoWait
	}
	return valueText(w.For)
}

// MarshalText writes what UnmarshalText reads.
func (w WaitMax) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

func (WaitMax) wants() string { return "auto, or a duration with its unit, such as 50s" }

// longestWait is the longest that calls may wait, where the gateway signs them
// anew.
const longestWait = time.Hour

func defaultWait() Wait {
	return Wait{Max: WaitMax{Auto: true}, MaxCalls: 10_000, MaxBytes: PercentOf(50)}
}

func defaultConcurrency() Concurrency { return Concurrency{Min: 10, Max: 1000, Adaptive: true} }

func defaultGuard() Guard { return Guard{Enabled: true, ReplayBytes: 16 * MiB} }

// believed is how long an app believes the caller's own signature; 0 if it does
// not see it, or does not look.
func (c *Config) believed(a App) time.Duration {
	if a.Signing != SigningPassthrough || c.InsecureSkipVerify {
		return 0
	}
	return c.Environment(a).SignatureTolerance
}

// validate checks a waiting room. The app believes the caller's own signature
// for that long; 0 if it never sees it.
func (w Wait) validate(p *problems, at string, believed time.Duration) {
	switch {
	case w.Max.For < 0 || w.Max.For > longestWait:
		p.add(at+".max", quoted(w.Max.String()), "auto, or from 0s to "+valueText(longestWait))
	case believed > 0 && w.Max.For > believed:
		p.add(at+".max", quoted(w.Max.String()), "auto, or from 0s to "+valueText(believed)+
			" (inngest.signature_tolerance): in mode passthrough the app would not believe the signature any longer; signing: resign lets calls wait for an hour")
	}
	between(p, at+".max_calls", w.MaxCalls, 1, mostCount)
	if w.MaxBytes.Of(1<<40) < 1 {
		p.add(at+".max_bytes", quoted(w.MaxBytes.String()), Portion{}.wants())
	}
}

func (c Concurrency) validate(p *problems, at string) {
	between(p, at+".max", c.Max, 1, mostCount)
	if c.Max >= 1 {
		between(p, at+".min", c.Min, 1, c.Max)
	}
}

// validate checks the guard of an app, which may checkpoint.
func (g Guard) validate(p *problems, at string, checkpoints bool) {
	switch {
	case g.Replay == 0:
		return
	case !g.Enabled:
		p.add(at+".replay", quoted(valueText(g.Replay)), "0s, or enabled: true")
	case checkpoints:
		p.add(at+".replay", quoted(valueText(g.Replay)),
			"0s, because the answer of a checkpointing app to one generation would end the run if a newer one got it; where the app has it switched off, say checkpointing: false too")
	default:
		between(p, at+".replay", g.Replay, time.Second, 10*time.Minute)
	}
	atLeast(p, at+".replay_bytes", g.ReplayBytes, KiB)
}
