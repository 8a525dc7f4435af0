package config

import (
	"strings"
	"testing"
	"time"
)

func TestWaitMax_readsAutoAndDurations(t *testing.T) {
	for text, want := range map[string]WaitMax{
		"auto": {Auto: true},
		"0s":   {},
		"50s":  {For: 50 * time.Second},
		"1h0m": {For: time.Hour},
	} {
		var got WaitMax
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, got, err, want)
		}
		var again WaitMax
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != want {
			t.Errorf("%q is written as %q, which reads as %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "Auto", "50", "auto 50s"} {
		var got WaitMax
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", text, got)
		}
	}
}

func TestValidate_ofAdmission(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		change func(*App)
		path   string // of the problem; empty: none
		want   string
	}{
		"a pinned wait":              {func(a *App) { a.Wait.Max = WaitMax{For: 4 * time.Minute} }, "", ""},
		"no wait":                    {func(a *App) { a.Wait.Max = WaitMax{} }, "", ""},
		"a wait beyond the belief":   {func(a *App) { a.Wait.Max = WaitMax{For: 6 * time.Minute} }, "apps[0].wait.max", "signing: resign"},
		"a long wait in mode resign": {func(a *App) { resigned(a); a.Wait.Max = WaitMax{For: time.Hour} }, "", ""},
		"a longer one":               {func(a *App) { resigned(a); a.Wait.Max = WaitMax{For: 2 * time.Hour} }, "apps[0].wait.max", "1h"},
		"a negative wait":            {func(a *App) { a.Wait.Max = WaitMax{For: -1} }, "apps[0].wait.max", "from 0s"},
		"room for nobody":            {func(a *App) { a.Wait.MaxCalls = 0 }, "apps[0].wait.max_calls", "from 1"},
		"room for no bytes":          {func(a *App) { a.Wait.MaxBytes = PortionOf(0) }, "apps[0].wait.max_bytes", "size"},
		"no concurrency":             {func(a *App) { a.Concurrency.Max = 0 }, "apps[0].concurrency.max", "from 1"},
		"a minimum over the maximum": {func(a *App) { a.Concurrency = Concurrency{Min: 11, Max: 10} }, "apps[0].concurrency.min", "from 1 to 10"},
		"replay to a checkpointing app": {func(a *App) { a.Guard.Replay = time.Minute },
			"apps[0].guard.replay", "checkpointing: false"},
		"replay without checkpoints":  {func(a *App) { a.Guard.Replay, a.Checkpointing = time.Minute, &no }, "", ""},
		"replay without the guard":    {func(a *App) { a.Guard = Guard{Replay: time.Minute, ReplayBytes: MiB} }, "apps[0].guard.replay", "enabled: true"},
		"replay for an hour":          {func(a *App) { a.Guard.Replay, a.Checkpointing = time.Hour, &no }, "apps[0].guard.replay", "10m"},
		"the guard off, with nothing": {func(a *App) { a.Guard = Guard{} }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := one(func(_ *Config, a *App) { c.change(a) }).Validate()
			switch problems, _ := err.(Problems); {
			case c.path == "" && err != nil:
				t.Errorf("Validate = %v, want nil", err)
			case c.path != "" && (len(problems) != 1 || problems[0].Path != c.path || !strings.Contains(problems[0].Want, c.want)):
				t.Errorf("Validate = %v, want one problem at %s that says %q", err, c.path, c.want)
			}
		})
	}
}

func resigned(a *App) {
	a.Signing, a.Local.SigningKey = SigningResign, NewSecret("signkey-local-00ff")
}
