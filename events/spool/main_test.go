package spool

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_TEST_DIR"); dir != "" {
		appendUntilKilled(dir)
		return
	}
	if dir := os.Getenv("SPOOL_TEST_FULL"); dir != "" {
		fullDisk(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
