package guard

import "time"

// Totals count files and their bytes.
type Totals struct {
	Files uint64 `cbor:"0,keyasint,omitempty"`
	Bytes uint64 `cbor:"1,keyasint,omitempty"`
}

// Observation is what one run counted while it compared a source with its
// previous snapshot. The zero Observation is a run that found nothing changed.
type Observation struct {
	Time   time.Time `cbor:"0,keyasint"`           // when the run began
	Base   [32]byte  `cbor:"1,keyasint"`           // the snapshot compared with; zero if there was none
	Number uint64    `cbor:"2,keyasint,omitempty"` // of the snapshot that holds what was found, in its chain; 0 if none was published

	Before  Totals `cbor:"3,keyasint,omitzero"` // of the previous snapshot
	After   Totals `cbor:"4,keyasint,omitzero"`
	LeftOut Totals `cbor:"5,keyasint,omitzero"` // of Before, what rules leave out since: no deletion

	New      uint64 `cbor:"6,keyasint,omitempty"`
	Modified uint64 `cbor:"7,keyasint,omitempty"` // other content under the same name
	Deleted  uint64 `cbor:"8,keyasint,omitempty"` // moved and renamed files under their old names, too

	// DeletedWhole, of Deleted, went with their directory; the others went from
	// DeletedIn directories that stayed.
	DeletedWhole uint64 `cbor:"9,keyasint,omitempty"`
	DeletedIn    uint64 `cbor:"10,keyasint,omitempty"`
	// DeletedMedia, of the others, had a beginning of their own to promise.
	DeletedMedia uint64 `cbor:"18,keyasint,omitempty"`

	// Renamed, of Deleted without DeletedWhole, seem to live on beside where
	// they were, under an extension that nobody knows.
	Renamed uint64 `cbor:"11,keyasint,omitempty"`
	// Wrapped, of New, have the whole name of a media file before an extension
	// that nobody knows, wherever they are.
	Wrapped uint64 `cbor:"12,keyasint,omitempty"`

	// Checked, of Modified, have a name that promises something. Misfit, of
	// Checked, kept the promise before and no longer do; Random, of Checked,
	// compressed before and no longer do.
	Checked uint64 `cbor:"13,keyasint,omitempty"`
	Misfit  uint64 `cbor:"14,keyasint,omitempty"`
	Random  uint64 `cbor:"15,keyasint,omitempty"`
	// NewMisfit, of New, do not keep the promise of their name.
	NewMisfit uint64 `cbor:"16,keyasint,omitempty"`

	// Elsewhere says that the source, or a directory in it that had files, lies
	// on another file system than before.
	Elsewhere bool `cbor:"17,keyasint,omitempty"`
}

// Add adds what was counted elsewhere in the same run.
func (o *Observation) Add(other Observation) {
	o.LeftOut.Files += other.LeftOut.Files
	o.LeftOut.Bytes += other.LeftOut.Bytes
	o.New += other.New
	o.Modified += other.Modified
	o.Deleted += other.Deleted
	o.DeletedWhole += other.DeletedWhole
	o.DeletedIn += other.DeletedIn
	o.DeletedMedia += other.DeletedMedia
	o.Renamed += other.Renamed
	o.Wrapped += other.Wrapped
	o.Checked += other.Checked
	o.Misfit += other.Misfit
	o.Random += other.Random
	o.NewMisfit += other.NewMisfit
	o.Elsewhere = o.Elsewhere || other.Elsewhere
}

// Merge returns what two observations are together, the later one being of a
// later pass of the same run, or of the next run.
func (o Observation) Merge(later Observation) Observation {
	if o.Time.IsZero() {
		return later
	}
	o.Number, o.After = max(o.Number, later.Number), later.After
	o.Add(later)
	return o
}

// innocent reports whether no guard could count anything against o.
func (o Observation) innocent() bool {
	return o.Deleted|o.Renamed|o.Wrapped|o.Misfit|o.Random|o.NewMisfit == 0 && !o.Elsewhere && o.After.Bytes >= o.Before.Bytes
}
