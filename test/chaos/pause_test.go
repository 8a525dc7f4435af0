package chaos

import (
	"os/exec"
	"testing"
	"time"
)

// command runs a command of the gateway's against this one.
func (g *gateway) command(args ...string) {
	g.tb.Helper()
	binary, err := g.binary()
	if err != nil {
		g.tb.Fatal(err)
	}
	cmd := exec.Command(binary, append(args, "--address", g.admin)...)
	cmd.Env = environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		g.tb.Fatalf("gateway %v: %v\n%s", args, err, out)
	}
}

// A pause keeps calls from the app until it is over, also when the gateway is
// killed meanwhile. Its end costs no attempt.
func TestGateway_pausedByCommand(t *testing.T) {
	for name, target := range map[string]string{"app": "shop", "function": "shop/work"} {
		t.Run(name, func(t *testing.T) {
			const atOnce = 40
			s := newServer(t)
			a := newApp(t, "shop", time.Millisecond)
			g := newGateway(t, s, []*app{a}, "")
			a.start()
			g.start()
			s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
			waiting := func() bool { return g.metric("inngest_gateway_admission_parked_calls") == atOnce }

			g.command("pause", target)
			s.begin("shop", atOnce)
			until(t, "calls that wait", waiting)
			g.command("resume", target)
			s.ended(atOnce)
			if got := s.tally("shop"); got.Completed != atOnce || got.Burned != 0 {
				t.Errorf("after a pause: %+v; want %d runs completed and no attempt burned", got, atOnce)
			}

			const before = atOnce * (appSteps + 1)
			until(t, "what the app tells of its calls", func() bool { return a.did("answered") == before })
			g.command("pause", target, "--for", "1h")
			s.begin("shop", atOnce)
			until(t, "calls that wait", waiting)
			g.kill()
			g.start()
			until(t, "the calls that wait again", waiting)
			if got := a.did("call") - before; got != 0 {
				t.Errorf("%d calls reached the app during a pause", got)
			}
			g.command("resume", target)
			s.ended(2 * atOnce)
			if got := s.tally("shop"); got.Completed != 2*atOnce || got.Other != 0 {
				t.Errorf("after a pause that outlived its gateway: %+v; want %d runs completed", got, 2*atOnce)
			}
			if steps, again := a.repeated(); steps != 2*atOnce*appSteps || again != 0 {
				t.Errorf("%d steps were executed, %d times too often", steps, again)
			}
		})
	}
}
