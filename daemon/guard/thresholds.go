package guard

import "fmt"

// Thresholds say how much a source may change in 24 hours. The zero value
// stands for Default.
type Thresholds struct {
	Emptied   Limit // only Off counts: nothing is nothing
	Elsewhere Limit // only Off counts

	Shrunk      Limit // files or bytes that are gone
	Overwritten Limit // files that no longer fit their names
	Random      Limit // compressible files that became random
	Renamed     Limit // files renamed to extensions that nobody knows
	Scattered   Limit // files deleted one by one in many directories
}

// Limit is reached by a share of the files that the source had, but never by
// fewer files than Least, and always by Most. A field that is zero has the
// default of its guard.
type Limit struct {
	Off   bool    // this guard finds nothing
	Share float64 // above 0, at most 1
	Least uint64
	Most  uint64
}

// noMost lets only the share decide.
const noMost = 1 << 62

// Default returns the thresholds with every default filled in.
func Default() Thresholds {
	return Thresholds{
		// A project that goes to the archive may be a third of a library, two
		// of them half of it. Beyond half, somebody should say that it was
		// meant. Fewer than ten files are one person's tidying.
		Shrunk: Limit{Share: 0.5, Least: 10, Most: noMost},
		// No program of a studio makes a photo that is no photo; a bad cable
		// may spoil a few. One in a hundred is far below what an attack does
		// in its first minute, and a hundred at once are never innocent,
		// however large the library.
		Overwritten: Limit{Share: 0.01, Least: 10, Most: 100},
		// As above; a little more, since someone may pack or encrypt a folder
		// of notes under their old names.
		Random: Limit{Share: 0.02, Least: 20, Most: 200},
		// People do invent extensions ("IMG_1.jpg_old"), by the folder.
		// Renaming in larger numbers keeps the extension, or makes one that a
		// program knows.
		Renamed: Limit{Share: 0.02, Least: 20, Most: 200},
		// Culling takes half the photos of a few shoots, and so hundreds of
		// files in tens of directories are a day's work; a quarter of a whole
		// library, here and there, and no directory gone as such, is not.
		Scattered: Limit{Share: 0.25, Least: 100, Most: noMost},
	}
}

// None returns thresholds with every guard off.
func None() Thresholds {
	off := Limit{Off: true}
	return Thresholds{off, off, off, off, off, off, off}
}

// WithDefaults returns t with the defaults in the place of zeros.
func (t Thresholds) WithDefaults() Thresholds {
	d := Default()
	t.Shrunk = t.Shrunk.or(d.Shrunk)
	t.Overwritten = t.Overwritten.or(d.Overwritten)
	t.Random = t.Random.or(d.Random)
	t.Renamed = t.Renamed.or(d.Renamed)
	t.Scattered = t.Scattered.or(d.Scattered)
	return t
}

// Validate reports thresholds that make no sense.
func (t Thresholds) Validate() error {
	for _, g := range []struct {
		name  string
		limit Limit
	}{
		{"shrunk", t.Shrunk}, {"overwritten", t.Overwritten}, {"random", t.Random}, {"renamed", t.Renamed}, {"scattered", t.Scattered},
	} {
		l := g.limit
		switch {
		case !(l.Share >= 0 && l.Share <= 1): // NaN is neither
			return fmt.Errorf("guard %s: a share of %v; give a number above 0 and at most 1", g.name, l.Share)
		case l.Least != 0 && l.Most != 0 && l.Least > l.Most:
			return fmt.Errorf("guard %s: at least %d files is more than at most %d", g.name, l.Least, l.Most)
		}
	}
	return nil
}

// or fills in what l leaves open. A Least or Most that was given moves the
// other's default out of its way.
func (l Limit) or(d Limit) Limit {
	if l.Share == 0 {
		l.Share = d.Share
	}
	switch {
	case l.Least == 0 && l.Most == 0:
		l.Least, l.Most = d.Least, d.Most
	case l.Least == 0:
		l.Least = min(d.Least, l.Most)
	case l.Most == 0:
		l.Most = max(d.Most, l.Least)
	}
	return l
}

// reached reports whether n of a source's files are too many.
func (l Limit) reached(n, files uint64) bool {
	return !l.Off && n > 0 && n >= min(max(uint64(l.Share*float64(files)), l.Least), l.Most)
}
