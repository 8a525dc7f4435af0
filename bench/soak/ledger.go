package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A fate is what became of a call, as its caller sees it.
type fate byte

const (
	open     fate = iota // not over
	answered             // the app's answer, to this call
	refused              // a documented refusal of the gateway
)

// A ledger holds the fate of every call, to be compared with the app's journal.
type ledger struct {
	mu       sync.Mutex
	fates    []fate // by number
	answers  int
	refusals map[inngest.Code]int
	wrong    []error // what must never be, the first few
	wrongs   int
}

func newLedger() *ledger { return &ledger{refusals: map[inngest.Code]int{}} }

// next returns the number of the next call.
func (l *ledger) next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates = append(l.fates, open)
	return uint64(len(l.fates) - 1)
}

func (l *ledger) answer(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates[number] = answered
	l.answers++
}

func (l *ledger) refuse(number uint64, code inngest.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates[number] = refused
	l.refusals[code]++
}

// complain notes what must never be.
func (l *ledger) complain(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrongs++; len(l.wrong) < 20 {
		l.wrong = append(l.wrong, err)
	}
}

// counts returns how many calls were answered and refused so far.
func (l *ledger) counts() (answers, refusals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.refusals {
		refusals += n
	}
	return l.answers, refusals
}

// failures returns what must never be.
func (l *ledger) failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if more := l.wrongs - len(l.wrong); more > 0 {
		return append(l.wrong[:len(l.wrong):len(l.wrong)], fmt.Errorf("and %d more", more))
	}
	return l.wrong
}

// audit compares the ledger with the journal of the app, and returns how many
// calls the app began whose callers were refused: each has burned an attempt.
func (l *ledger) audit(journal string) (burned int, err error) {
	file, err := os.Open(journal)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	arrivals := make([]byte, len(l.fates))
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		number, err := load.Number(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case err != nil || number >= uint64(len(arrivals)):
			l.complain(fmt.Errorf("the app was called for a run that nobody called: %q", line))
		case arrivals[number] == 1:
			l.complain(fmt.Errorf("call %d reached the app more than once", number))
		default:
			arrivals[number] = 1
		}
	}
	for number, f := range l.fates {
		switch {
		case f == open:
			l.complain(fmt.Errorf("call %d got neither answer nor refusal", number))
		case f == answered && arrivals[number] == 0:
			l.complain(fmt.Errorf("call %d has an answer of the app, which was not called", number))
		case f == refused && arrivals[number] == 1:
			burned++
		}
	}
	return burned, nil
}
