package chaos

import (
	"os/exec"
	"syscall"
)

// endWithParent has the system kill the process when the tests end without
// having done so, by a timeout.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
