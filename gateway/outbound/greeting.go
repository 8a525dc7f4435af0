package outbound

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Frames of WebSockets (RFC 6455, section 5.2), as far as the first message of
// a worker needs it.
const (
	frameFinal    = 0x80
	frameReserved = 0x70
	frameOpcode   = 0x0f
	frameMasked   = 0x80
	frameLength   = 0x7f

	opContinuation = 0
	opBinary       = 2
	opControl      = 8 // this and above

	maxControl = 125
)

// passGreeting passes what a worker sends, message by message, up to and
// including the one that holds its token, which it exchanges. A message may
// have max bytes.
func passGreeting(far io.Writer, near io.Reader, max int, exchange func(string) string) error {
	for {
		message, op, err := nextMessage(far, near, max)
		if err != nil {
			return err
		}
		was := false
		if op == opBinary {
			if message, was, err = giveToken(message, exchange); err != nil {
				return fmt.Errorf("message of a worker: %w", err)
			}
		}
		if err := writeFrame(far, frameFinal|op, message); err != nil {
			return err
		}
		if was {
			return nil
		}
	}
}

// nextMessage reads one message. Control frames, which may stand between its
// frames, are passed at once.
func nextMessage(far io.Writer, near io.Reader, max int) (message []byte, op byte, err error) {
	for {
		head, payload, err := readFrame(near, max-len(message))
		if err != nil {
			return nil, 0, err
		}
		switch code := head & frameOpcode; {
		case code >= opControl:
			if err := writeFrame(far, head, payload); err != nil {
				return nil, 0, err
			}
			continue
		case code == opContinuation && op == 0, code != opContinuation && op != 0:
			return nil, 0, errors.New("frame of a worker: out of order")
		case code != opContinuation:
			op = code
		}
		message = append(message, payload...)
		if head&frameFinal != 0 {
			return message, op, nil
		}
	}
}

// readFrame reads one frame of a client, which is always masked.
func readFrame(r io.Reader, max int) (head byte, payload []byte, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return 0, nil, err
	}
	head = b[0]
	if head&frameReserved != 0 || b[1]&frameMasked == 0 {
		return 0, nil, errors.New("frame of a worker: compressed, or not masked")
	}
	length := uint64(b[1] & frameLength)
	switch length {
	case 126:
		_, err = io.ReadFull(r, b[:2])
		length = uint64(binary.BigEndian.Uint16(b[:2]))
	case 127:
		_, err = io.ReadFull(r, b[:8])
		length = binary.BigEndian.Uint64(b[:8])
	}
	if err != nil {
		return 0, nil, err
	}
	if head&frameOpcode >= opControl {
		max = maxControl
	}
	if length > uint64(max) {
		return 0, nil, fmt.Errorf("frame of a worker: %d bytes, at most %d are taken", length, max)
	}
	var mask [4]byte
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return 0, nil, err
	}
	// Grows with what arrives, not with what the frame declares.
	payload, err = io.ReadAll(io.LimitReader(r, int64(length)))
	if err == nil && uint64(len(payload)) < length {
		err = io.ErrUnexpectedEOF
	}
	applyMask(payload, mask)
	return head, payload, err
}

// writeFrame writes one frame, masked as a client's must be.
func writeFrame(w io.Writer, head byte, payload []byte) error {
	frame := make([]byte, 0, len(payload)+14)
	frame = append(frame, head)
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, frameMasked|byte(n))
	case n <= 0xffff:
		frame = binary.BigEndian.AppendUint16(append(frame, frameMasked|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, frameMasked|127), uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // never fails
	frame = append(frame, mask[:]...)
	at := len(frame)
	frame = append(frame, payload...)
	applyMask(frame[at:], mask)
	_, err := w.Write(frame)
	return err
}

func applyMask(p []byte, mask [4]byte) {
	for i := range p {
		p[i] ^= mask[i&3]
	}
}
