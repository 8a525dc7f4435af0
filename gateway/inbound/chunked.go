package inbound

import "context"

// maxChunkDigits bounds the hexadecimal length of a chunk.
const maxChunkDigits = 8

// A chunkError says what is wrong with a chunked body.
type chunkError struct{ why string }

func (e *chunkError) Error() string { return e.why }

// readChunks reads a chunked body. It is stricter than the standard: no
// extensions, no trailers, which no client of the protocol sends.
func (x *exchange) readChunks(ctx context.Context) error {
	for {
		size, err := x.conn.chunkSize()
		if err != nil {
			return err
		}
		if size == 0 {
			return x.conn.expect("the body is followed by trailers")
		}
		for size > 0 {
			if x.conn.begin == x.conn.end {
				if err := x.conn.fill(); err != nil {
					return err
				}
			}
			n := min(size, int64(x.conn.end-x.conn.begin))
			if err := x.store(ctx, x.conn.take(int(n)), -1); err != nil {
				return err
			}
			size -= n
		}
		if err := x.conn.expect("a chunk is longer than it says"); err != nil {
			return err
		}
	}
}

// chunkSize reads the line that begins a chunk.
func (c *conn) chunkSize() (size int64, err error) {
	for digits := 0; ; digits++ {
		b, err := c.nextByte()
		if err != nil {
			return 0, err
		}
		switch {
		case b == '\r' && digits > 0:
			return size, c.expectByte('\n', "the length of a chunk does not end with CR LF")
		case digits == maxChunkDigits:
			return 0, &chunkError{"the length of a chunk has too many digits"}
		case '0' <= b && b <= '9':
			size = size<<4 | int64(b-'0')
		case 'a' <= b && b <= 'f':
			size = size<<4 | int64(b-'a'+10)
		case 'A' <= b && b <= 'F':
			size = size<<4 | int64(b-'A'+10)
		default:
			return 0, &chunkError{"the length of a chunk is no plain hexadecimal number"}
		}
	}
}

// expect reads CR LF.
func (c *conn) expect(why string) error {
	if err := c.expectByte('\r', why); err != nil {
		return err
	}
	return c.expectByte('\n', why)
}

func (c *conn) expectByte(want byte, why string) error {
	b, err := c.nextByte()
	if err == nil && b != want {
		err = &chunkError{why}
	}
	return err
}

func (c *conn) nextByte() (byte, error) {
	if c.begin == c.end {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	c.begin++
	return c.block.bytes[c.begin-1], nil
}
