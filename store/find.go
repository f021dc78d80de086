package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Find returns the snapshot that a person means: an id prefix of at least four
// digits, "latest", "latest@LABEL", or a time, which means the newest snapshot
// not after it; a time may be followed by "@LABEL" too. With several sources a
// bare "latest" or time is ErrAmbiguous, and the error lists the choices.
func (r *Repository) Find(ctx context.Context, spec string) (Snapshot, error) {
	all, damaged, err := r.Briefs(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	chosen, err := choose(all, spec, r.now().Location())
	if errors.Is(err, ErrNoSnapshot) && len(damaged) > 0 {
		err = fmt.Errorf("%w (%d objects cannot be read: run keepsake check)", err, len(damaged))
	}
	if err != nil {
		return Snapshot{}, err
	}
	return r.Manifest(ctx, chosen.ID)
}

func choose(all []*Brief, spec string, local *time.Location) (*Brief, error) {
	when, label, labelled := strings.Cut(spec, "@")
	notAfter, isTime := parseWhen(when, local)
	if when != "latest" && !isTime {
		return findID(all, spec)
	}
	var chosen []*Brief
	for _, s := range all {
		if labelled && s.Origin().Label != label || isTime && s.Started.Time().After(notAfter) {
			continue
		}
		chosen = append(chosen, s)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: %q; %s", ErrNoSnapshot, spec, instead(all, when, label, labelled))
	}
	if labels := labelsOf(chosen); len(labels) > 1 {
		return nil, fmt.Errorf("%w: %q could mean any of %s; say %s@%s", ErrAmbiguous, spec, strings.Join(labels, ", "), when, labels[0])
	}
	return NewestBrief(chosen), nil
}

// instead says why no snapshot of a label, or none so old, is there, and what is.
func instead(all []*Brief, when, label string, labelled bool) string {
	var of []*Brief
	for _, s := range all {
		if !labelled || s.Origin().Label == label {
			of = append(of, s)
		}
	}
	labels := labelsOf(all)
	switch {
	case len(all) == 0:
		return "there are no snapshots yet"
	case len(of) == 0:
		if i := slices.IndexFunc(labels, func(l string) bool { return strings.EqualFold(l, label) }); i >= 0 {
			return fmt.Sprintf("the source is called %s: say %s@%s", labels[i], when, labels[i])
		}
		return fmt.Sprintf("no source is called %q; there are: %s", label, few(labels))
	}
	oldest := of[0]
	for _, s := range of {
		if s.Started.Compare(oldest.Started) < 0 {
			oldest = s
		}
	}
	return "the oldest is of " + oldest.Started.Time().In(oldest.Zone()).Format("2006-01-02 15:04:05") + "; keepsake snapshots lists what there is"
}

// few names some labels; a message of a hundred is not read.
func few(labels []string) string {
	const most = 10
	if len(labels) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(labels[:most], ", "), len(labels)-most)
	}
	return strings.Join(labels, ", ")
}

// Newest returns the newest of some snapshots of one source; some must not be
// empty. Within a chain numbers decide, since clocks are set back; between
// chains the time does. A finished snapshot is preferred: one in progress lacks
// what had not been reached.
func Newest(some []Snapshot) Snapshot {
	all := make([]*Brief, len(some))
	for i := range some {
		all[i] = some[i].Brief()
	}
	return some[slices.Index(all, NewestBrief(all))]
}

// NewestBrief is Newest of snapshots in brief.
func NewestBrief(some []*Brief) *Brief {
	heads := map[chainID]*Brief{}
	for _, s := range some {
		chain := s.chain()
		head := heads[chain]
		if head == nil || s.finished() && !head.finished() || s.finished() == head.finished() && s.Number > head.Number {
			heads[chain] = s
		}
	}
	var best *Brief
	for _, s := range heads {
		if best == nil || s.finished() && !best.finished() || s.finished() == best.finished() && s.Started.Compare(best.Started) > 0 {
			best = s
		}
	}
	return best
}

// NewestOf reads the newest of some snapshots of one source that can be read; ok
// is false if there is none.
func (r *Repository) NewestOf(ctx context.Context, some []*Brief) (s Snapshot, ok bool, err error) {
	for len(some) > 0 {
		best := NewestBrief(some)
		s, err := r.Manifest(ctx, best.ID)
		if !errors.Is(err, ErrDamaged) {
			return s, err == nil, err
		}
		some = slices.DeleteFunc(slices.Clone(some), func(b *Brief) bool { return b == best })
	}
	return Snapshot{}, false, nil
}

func labelsOf(some []*Brief) []string {
	var labels []string
	for _, s := range some {
		if label := s.Origin().Label; !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

func findID(all []*Brief, spec string) (*Brief, error) {
	const least = 4
	prefix := strings.ToLower(spec)
	if strings.Trim(prefix, "0123456789abcdef") != "" || prefix == "" {
		return nil, fmt.Errorf("%w: %q is neither an id, nor latest, nor a time", ErrNoSnapshot, spec)
	}
	if len(prefix) < least {
		return nil, fmt.Errorf("%w: %q is too short for an id; give at least %d digits", ErrAmbiguous, spec, least)
	}
	var found []*Brief
	for _, s := range all {
		if strings.HasPrefix(s.ID.String(), prefix) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: no id begins with %s; keepsake snapshots lists what there is", ErrNoSnapshot, spec)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%w: %d ids begin with %s; give more digits", ErrAmbiguous, len(found), spec)
}

// whens are the ways to write a time, each with the span it stands for: a day
// means until its end.
var whens = []struct {
	layout string
	span   time.Duration
}{
	{time.RFC3339Nano, 0},
	{"2006-01-02T15-04-05-0700", time.Second - 1}, // as folders in the mount are named
	{"2006-01-02T15:04:05", time.Second - 1},
	{"2006-01-02 15:04:05", time.Second - 1},
	{"2006-01-02T15:04", time.Minute - 1},
	{"2006-01-02 15:04", time.Minute - 1},
	{"2006-01-02", 0},
}

// parseWhen returns the last instant that a written time includes.
func parseWhen(text string, local *time.Location) (time.Time, bool) {
	for _, w := range whens {
		t, err := time.ParseInLocation(w.layout, text, local)
		if err != nil {
			continue
		}
		if w.layout == "2006-01-02" {
			// A day has 23 hours or 25 when clocks change.
			return t.AddDate(0, 0, 1).Add(-1), true
		}
		return t.Add(w.span), true
	}
	return time.Time{}, false
}
