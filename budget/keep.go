package budget

// mostKept bounds the storage that waits for the next body. Made anew for each,
// a body costs three times as much and more (BenchmarkKeeping), and leaves
// garbage that nobody charged.
const mostKept = 64 << 20

// A keep holds storage between two bodies, by class. It is used with the
// budget's lock held.
type keep struct {
	free  [classes]*storage
	bytes int64
	most  int64
}

// resize bounds what is kept in a budget of max bytes, of which so many are used.
func (k *keep) resize(max, used int64) {
	k.most = min(max/4, mostKept)
	k.shrink(min(k.most, max-used))
}

// take returns storage of that class; nil if there is none.
func (k *keep) take(class int) *storage {
	s := k.free[class]
	if s != nil {
		k.free[class], s.next = s.next, nil
		k.bytes -= int64(len(s.bytes))
	}
	return s
}

// give keeps storage, if it fits.
func (k *keep) give(class int, s *storage) {
	if k.bytes+int64(len(s.bytes)) > k.most {
		return
	}
	s.next, k.free[class] = k.free[class], s
	k.bytes += int64(len(s.bytes))
}

// shrink drops storage, the largest first, until at most so many bytes are kept.
func (k *keep) shrink(most int64) {
	for class := classes - 1; class >= 0 && k.bytes > most; class-- {
		for k.bytes > most && k.take(class) != nil {
		}
	}
}

func (b *Budget) take(class, capacity int) *storage {
	if class < classes {
		b.mu.Lock()
		s := b.kept.take(class)
		b.kept.shrink(b.max - b.used)
		b.mu.Unlock()
		if s != nil {
			return s
		}
	}
	return &storage{bytes: make([]byte, capacity)}
}

func (b *Budget) give(s *storage) {
	if class := classOf(len(s.bytes)); class < classes {
		b.mu.Lock()
		b.kept.give(class, s)
		b.mu.Unlock()
	}
}

// Held returns the bytes of storage that there are: what is charged, and what
// waits for the next body.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used + b.kept.bytes
}
