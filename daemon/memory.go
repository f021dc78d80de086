package daemon

import (
	"errors"
	"time"

	"keepsake/daemon/guard"
	"keepsake/store/state"
)

// Kinds of notes in the state.
const (
	noteJob    state.Kind = "job"
	noteWindow state.Kind = "window"
	noteAlarms state.Kind = "alarms"
	notePause  state.Kind = "pause"
	noteReread state.Kind = "reread"
	noteRot    state.Kind = "rot"
	noteAlerts state.Kind = "alerts"
	noteClock  state.Kind = "clock"
	noteAccept state.Kind = "accept"
)

// job is what is remembered of a source's tasks. Times are of the wall clock.
type job struct {
	Running bool      `cbor:"0,keyasint,omitempty"` // a keeper has it; still set at a start means that it was killed
	Looked  time.Time `cbor:"1,keyasint"`           // end of the last task that ended without error
	Ended   time.Time `cbor:"2,keyasint"`           // end of the last task
	Error   string    `cbor:"3,keyasint,omitempty"` // of the last task; empty if it ended well
	// Judged is the number of the newest snapshot whose marks became alarms.
	Judged uint64 `cbor:"4,keyasint,omitempty"`
	// After is what the commands after the last task failed with.
	After string `cbor:"5,keyasint,omitempty"`
}

// rotNote is what the rolling re-read found and nobody has settled yet: paths as
// raw bytes, since a name need not be UTF-8, relative to the root.
type rotNote struct {
	Paths  [][]byte `cbor:"0,keyasint"`
	Mended [][]byte `cbor:"1,keyasint,omitempty"` // suspected once, and not since; a capture has to clear their flag
}

// pauseNote holds a source back until a time.
type pauseNote struct {
	Until time.Time `cbor:"0,keyasint"`
}

// acceptNote holds the sizes of outputs, by name, that a person accepted although
// they were short, until the command prints something as good.
type acceptNote struct {
	Sizes map[string]uint64 `cbor:"0,keyasint,omitempty"`
}

// memory is what the keeper of a source knows from before, and keeps in step
// with the state.
type memory struct {
	state  *state.DB
	source state.SourceID

	job    job
	window guard.Window
	alarms []Alarm
	pause  pauseNote
	rot    rotNote
	accept acceptNote
}

// load reads the notes. What cannot be read is begun anew.
func (m *memory) load() error {
	var all []error
	for kind, v := range map[state.Kind]any{
		noteJob: &m.job, noteWindow: &m.window, noteAlarms: &m.alarms, notePause: &m.pause, noteRot: &m.rot,
		noteAccept: &m.accept,
	} {
		_, err := m.state.Note(m.source, kind, v)
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (m *memory) note(kind state.Kind, v any) error { return m.state.SetNote(m.source, kind, v) }
