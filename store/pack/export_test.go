package pack

// Tamper makes f see each segment after it was sealed and before it is verified.
func (w *Writer) Tamper(f func(segment []byte)) { w.tamper = f }

// PaddedSize is paddedSize.
func PaddedSize(body uint64, used int) (int, uint64) { return paddedSize(body, used) }

// ParseTable is parseTable, with the padding last.
func ParseTable(plain []byte, body uint64) ([]Entry, error) {
	entries, padding, err := parseTable(plain, body)
	if err == nil && padding.Plain > 0 {
		entries = append(entries, padding)
	}
	return entries, err
}

// MaxBehind is maxBehind.
const MaxBehind = maxBehind

// Seal seals body, whatever it is, as the segments of e.
func (o *Opener) Seal(e Entry, body []byte) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	b, err := o.cell.sealChunk(nil, s, &e, body, nil)
	if err != nil {
		panic(err)
	}
	return b
}

// Inflates compresses plain, lets f see the frames and reports whether they are then accepted.
func Inflates(plain []byte, f func(packed []byte)) bool {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	packed, lens, ok := compress(nil, plain, s.lens[:0])
	if !ok {
		panic("does not compress")
	}
	f(packed)
	return inflatesTo(s, packed, lens, plain)
}
