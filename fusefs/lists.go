package fusefs

import (
	"context"
	"sync"
	"time"

	"keepsake/fusefs/catalogue"
)

const (
	// listAge is how old a catalogue may be before it is read again, unless
	// reading it takes long: of 100,000 snapshots the names alone take two tenths
	// of a second. Then it is read a twentieth of the time, but so often that a
	// new snapshot is seen within 5 s, the kernel's second included.
	listAge    = time.Second
	maxListAge = 3 * time.Second
	listShare  = 20
)

// lists keeps the catalogue up to date.
type lists struct {
	mu      sync.Mutex
	now     *catalogue.Catalogue
	read    time.Time            // when now was read, by the view's clock
	good    time.Duration        // for how long it may be shown
	loading chan struct{}        // closed when the reading under way has ended; nil if there is none
	begun   time.Time            // when that began
	failing bool                 // the last reading failed, which was logged
	told    *catalogue.Catalogue // what Refresh has last told the kernel of
	refresh sync.Mutex           // held while Refresh runs
}

// catalogue returns what the lists show now: read at most listAge ago, unless
// the repository does not answer, which leaves the last state on show.
func (v *view) catalogue(request context.Context) *catalogue.Catalogue {
	l := &v.lists
	l.mu.Lock()
	age := v.now().Sub(l.read)
	// Who comes later to a reading that takes long does not wait as well, or a
	// listing of a hundred names would take minutes while the repository hangs.
	late := l.loading != nil && v.now().Sub(l.begun) >= listAge
	if age >= 0 && age < max(l.good, listAge) || late {
		defer l.mu.Unlock()
		return l.now
	}
	loading := v.beginLoad()
	l.mu.Unlock()

	timer := time.NewTimer(listAge)
	defer timer.Stop()
	select {
	case <-loading:
	case <-timer.C:
	case <-request.Done():
	case <-v.life.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// beginLoad begins to read the catalogue, unless that is under way, and returns
// what is closed when it has ended. v.lists.mu is held.
func (v *view) beginLoad() chan struct{} {
	l := &v.lists
	if l.loading == nil {
		l.loading, l.begun = make(chan struct{}), v.now()
		go v.load(l.loading)
	}
	return l.loading
}

// load reads the catalogue and closes done.
func (v *view) load(done chan struct{}) {
	var next *catalogue.Catalogue
	err := errUnmounted
	if v.gate.enter() {
		err = v.sound(func() (err error) {
			next, err = v.readCatalogue(v.life)
			return err
		})
		v.gate.leave()
	}
	l := &v.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		if l.failing {
			v.log.Info("the mounted view can list snapshots again")
			v.damage.returned()
		}
		l.now, l.failing = next, false
	} else if !l.failing && v.life.Err() == nil {
		l.failing = true
		v.log.Error("the mounted view cannot list snapshots and shows the last list it has", "error", err)
	}
	l.read, l.good = v.now(), min(max(listAge, listShare*v.now().Sub(l.begun)), maxListAge)
	l.loading = nil
	close(done)
}

func (v *view) readCatalogue(ctx context.Context) (*catalogue.Catalogue, error) {
	all, damaged, err := v.repo.Briefs(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range damaged {
		v.report("", err)
	}
	v.lists.mu.Lock()
	now := v.lists.now
	v.lists.mu.Unlock()
	if now != nil && now.Has(all) {
		return now, nil
	}
	return catalogue.New(all), nil
}

// reload reads the catalogue even if it is young, and waits for it.
func (v *view) reload() *catalogue.Catalogue {
	l := &v.lists
	timer := time.NewTimer(v.patience)
	defer timer.Stop()
	// A reading that is under way may have listed too early.
	for range 2 {
		l.mu.Lock()
		mine := l.loading == nil
		loading := v.beginLoad()
		l.mu.Unlock()
		select {
		case <-loading:
		case <-timer.C:
			mine = true
		case <-v.life.Done():
			mine = true
		}
		if mine {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// change is a name in a list that means something else than before.
type change struct {
	list listID
	name string
}

// changes lists the names that differ between two catalogues.
func changes(was, is *catalogue.Catalogue) []change {
	var all []change
	compare := func(a, b *catalogue.Catalogue) {
		for _, s := range a.Sources {
			other := b.ByID(s.ID)
			if other == nil || other.Name != s.Name {
				all = append(all, change{listID{kind: listSnapshots}, s.Name}, change{listID{kind: listPrevious}, s.Name}, change{listID{kind: listVersions}, s.Name})
			}
			if other == nil || target(other) != target(s) {
				all = append(all, change{listID{kind: listLatest}, s.Name})
			}
			for _, snap := range unlike(s.Snapshots, other.Shown()) {
				if o := other.Snapshot(snap.Name); o == nil || o.ID != snap.ID {
					all = append(all, change{listID{listSource, s.ID}, snap.Name})
				}
			}
			for _, snap := range unlike(s.Previous, other.ShownPrevious()) {
				if o := other.PreviousAt(snap.Previous()); o == nil || o.ID != snap.ID {
					all = append(all, change{listID{listPreviousOf, s.ID}, snap.Previous()})
				}
			}
		}
	}
	compare(was, is)
	compare(is, was)
	return all
}

// unlike returns the snapshots from the first on that is not at its place in
// the other list: of very many, most stay what and where they were.
func unlike(some, other []*catalogue.Snapshot) []*catalogue.Snapshot {
	same := func(i int) bool { return some[i].ID == other[i].ID && some[i].Name == other[i].Name }
	i := 0
	for i < len(some) && i < len(other) && same(i) {
		i++
	}
	return some[i:]
}
