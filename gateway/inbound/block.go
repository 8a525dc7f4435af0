package inbound

import "sync"

// smallBlock holds an ordinary head and a body of a kilobyte or two.
const smallBlock = 4 << 10

// A block is what a connection reads heads into.
type block struct{ bytes []byte }

// blocks are spare ones: small, and as large as a head may be.
type blocks struct {
	small, large sync.Pool
	max          int // bytes of a large one
}

func (b *blocks) take(large bool) *block {
	pool, size := &b.small, smallBlock
	if large {
		pool, size = &b.large, b.max
	}
	if spare, ok := pool.Get().(*block); ok {
		return spare
	}
	return &block{make([]byte, size)}
}

func (b *blocks) give(spare *block) {
	if len(spare.bytes) == smallBlock {
		b.small.Put(spare)
		return
	}
	b.large.Put(spare)
}
