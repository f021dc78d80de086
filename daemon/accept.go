package daemon

import (
	"context"
	"fmt"
	"maps"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/tree"
)

// GuardShort is a short output of a command, as those are told who accept it. It
// is no alarm: the snapshot keeps the last good output, and says so.
const GuardShort = "short-output"

// acceptable are the short outputs in the newest snapshot of the source, which
// wait for a person to say that they are right.
func (m *memory) acceptable(ctx context.Context, r *store.Repository) ([]capture.ShortOutput, error) {
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return nil, err
	}
	var mine []*store.Brief
	for _, s := range all {
		if s.Origin().Source == m.source {
			mine = append(mine, s)
		}
	}
	newest, ok, err := r.NewestOf(ctx, mine)
	if err != nil || !ok {
		return nil, err
	}
	return capture.ShortOutputs(ctx, r, &newest)
}

// take notes short outputs as right: the next run measures against their sizes.
func (m *memory) take(short []capture.ShortOutput) (taken []Alarm, err error) {
	if len(short) == 0 {
		return nil, nil
	}
	accept := acceptNote{maps.Clone(m.accept.Sizes)}
	if accept.Sizes == nil {
		accept.Sizes = map[string]uint64{}
	}
	for _, s := range short {
		accept.Sizes[s.Name] = s.Size
		taken = append(taken, Alarm{Guard: GuardShort, Detail: fmt.Sprintf("%s with %d bytes", s.Name, s.Size)})
	}
	if err := m.note(noteAccept, accept); err != nil {
		return nil, err
	}
	m.accept = accept
	return taken, nil
}

// printed forgets what was accepted of outputs that are good again: they are the
// measure themselves.
func (m *memory) printed(result *capture.Result) error {
	if len(m.accept.Sizes) == 0 {
		return nil
	}
	accept := acceptNote{map[string]uint64{}}
	for _, missed := range result.Missed {
		if size, ok := m.accept.Sizes[string(missed.Path)]; ok && missed.Reason == tree.ReasonCommand {
			accept.Sizes[string(missed.Path)] = size
		}
	}
	if len(accept.Sizes) == len(m.accept.Sizes) {
		return nil
	}
	m.accept = accept
	return m.note(noteAccept, accept)
}
