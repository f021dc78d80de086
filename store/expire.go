package store

import (
	"context"
	"fmt"

	"keepsake/store/retention"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// ExpireOptions says what Expire does.
type ExpireOptions struct {
	Source state.SourceID
	Policy retention.Policy
	// DryRun decides and forgets nothing.
	DryRun bool
	// Who asks, for the ledger: user@host.
	Who string
	// Paused is why nothing may be forgotten now, such as a guard that waits
	// for somebody; empty if all is well. What would have gone is kept, and the
	// decisions say so.
	Paused string
	// Hold are snapshots that are kept whatever the policy says, and why.
	Hold map[SnapshotID]string
}

// Expiry is what a policy says of one snapshot.
type Expiry struct {
	*Brief
	retention.Decision
}

// Expire forgets the snapshots of one source that a policy no longer wants. It
// returns a decision about each of the source's snapshots, oldest first. Each
// chain is judged by itself: a chain that another writer left keeps its own
// newest days. Pins are honoured, and whatever the policy says, a chain keeps
// its newest complete snapshot, and its newest complete one that no guard has
// marked. While the ledger cannot be read in full nothing is decided
// (ErrLedger). Snapshots that cannot be read are neither forgotten nor counted;
// without them the policy keeps more, not less.
func (r *Repository) Expire(ctx context.Context, o ExpireOptions) ([]Expiry, error) {
	if err := o.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("retention policy: %w", err)
	}
	l, err := r.wholeLedger(ctx)
	if err != nil {
		return nil, err
	}
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return nil, err
	}
	out, byChain := ofSource(all, o.Source)
	now := r.now()
	for _, places := range byChain {
		items := make([]retention.Item, len(places))
		for k, i := range places {
			_, pinned := l.Pinned(out[i].ID, now)
			items[k] = r.item(out[i].Brief, pinned)
		}
		for k, d := range o.Policy.Apply(items) {
			out[places[k]].Decision = d
		}
	}
	kept := keptAlways(all)
	var gone []tree.LedgerSnapshot
	for i := range out {
		x := &out[i]
		switch {
		case x.Keep:
		case kept[x.ID]:
			x.Decision = retention.Decision{Keep: true, Reasons: []string{retention.ReasonNewestComplete}}
		case o.Hold[x.ID] != "":
			x.Decision = retention.Decision{Keep: true, Reasons: []string{o.Hold[x.ID]}}
		case o.Paused != "":
			x.Decision = retention.Decision{Keep: true, Reasons: []string{"expiry is paused: " + o.Paused}}
		default:
			gone = append(gone, x.Name())
		}
	}
	if o.DryRun {
		return out, nil
	}
	return out, r.forget(ctx, gone, o.Who, o.Policy.String())
}

// ofSource returns a source's snapshots, and their places by chain.
func ofSource(all []*Brief, source state.SourceID) (out []Expiry, byChain map[chainID][]int) {
	byChain = map[chainID][]int{}
	for _, s := range all {
		chain := s.chain()
		if chain.source != source {
			continue
		}
		byChain[chain] = append(byChain[chain], len(out))
		out = append(out, Expiry{Brief: s})
	}
	return out, byChain
}

// item is a snapshot as a policy sees it. One that a guard has marked counts as
// one that missed something, so that it does not take a sound one's place.
func (r *Repository) item(s *Brief, pinned bool) retention.Item {
	tags, ok := r.ledger.tagsOf(s.ID)
	if !ok && s.tags != nil {
		tags = *s.tags
	}
	return retention.Item{
		Time: s.Started.Time().In(s.Zone()), Number: s.Number, Tags: tags,
		Complete: s.sound(), InProgress: s.Basis == tree.InProgress, Pinned: pinned,
	}
}
