package chaos

import (
	"syscall"
	"testing"
	"time"
)

// What was under way when the app was killed is run again; nothing else is, no
// other attempt is burned, and no run is lost.
func TestApp_killedWhileCallsRun(t *testing.T) {
	const runs, kills = 200, 2
	s := newServer(t)
	a := newApp(t, "shop", 5*time.Millisecond)
	g := newGateway(t, s, []*app{a}, "")
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")

	s.begin("shop", runs)
	for round := range kills {
		until(t, "steps that ran", func() bool { return a.did("step") >= (round+1)*runs })
		a.process.kill()
		a.start()
	}
	s.ended(runs)

	most := a.inHand(kills)
	got := s.tally("shop")
	steps, again := a.repeated()
	if got.Completed != runs || got.Other != 0 || got.Burned > most {
		t.Errorf("%+v; want %d runs completed, and at most %d attempts burned", got, runs, most)
	}
	if steps != runs*appSteps || again > most {
		t.Errorf("%d steps were executed, want %d; %d executions too many, want at most %d", steps, runs*appSteps, again, most)
	}
	t.Log(told(runs, got, again, g))
}

// A frozen app answers when it thaws. Meanwhile another app lacks nothing.
func TestApp_frozenWhileCallsRun(t *testing.T) {
	const runs = 60
	s := newServer(t)
	frozen, well := newApp(t, "shop", time.Millisecond), newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{frozen, well}, "")
	frozen.start()
	well.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")

	s.begin("shop", runs)
	until(t, "steps that ran", func() bool { return frozen.did("step") >= runs/2 })
	frozen.process.signal(syscall.SIGSTOP)
	s.begin("mail", runs)
	until(t, "the other app's runs", func() bool { return s.tally("mail").Completed == runs })
	if got := s.tally("shop").Completed; got == runs {
		t.Error("the frozen app's runs have ended: nothing was tested")
	}
	frozen.process.signal(syscall.SIGCONT)
	s.ended(2 * runs)

	for _, a := range []*app{frozen, well} {
		if got := s.tally(a.id); got.Completed != runs || got.Other != 0 || got.Burned != 0 {
			t.Errorf("%s: %+v, want every run completed and no attempt burned", a.id, got)
		}
		for step, n := range a.executions() {
			if n != 1 {
				t.Errorf("%s: step %v was executed %d times", a.id, step, n)
			}
		}
	}
}
