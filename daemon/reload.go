package daemon

import (
	"context"
	"slices"

	"keepsake/daemon/config"
)

// Reload takes over a new configuration. Sources whose watcher need not change
// keep it and lose nothing; others are watched anew, and scanned. What cannot
// be taken over is an error, and nothing has changed then.
func (k *Keeper) Reload(ctx context.Context, c config.Config) (config.Changes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	changes, err := config.Changed(k.conf, c)
	if err != nil {
		return changes, err
	}
	// Everything that can fail comes first.
	fresh := map[string]*sourceKeeper{}
	for _, conf := range slices.Concat(changes.Added, changes.Changed) {
		if before := indexLabel(k.sources, conf.Label); before >= 0 && sameWatch(k.sources[before].config(), conf) {
			continue
		}
		if fresh[conf.Label], err = k.newSource(ctx, conf); err != nil {
			return changes, err
		}
	}
	k.conf = c
	k.reads.set(c)
	k.teller.Use(c.Notify.Command, c.Notify.Timeout)
	before := k.sources
	k.sources = nil
	var labels []string
	for _, conf := range c.Sources {
		labels = append(labels, conf.Label)
		i := indexLabel(before, conf.Label)
		switch s := fresh[conf.Label]; {
		case s == nil:
			s = before[i]
			s.reconfigure(conf)
			k.sources = append(k.sources, s)
		default:
			if i >= 0 {
				k.stop(before[i])
			}
			k.sources = append(k.sources, s)
			k.begin(s)
		}
	}
	for _, s := range before {
		if !slices.Contains(labels, s.label()) {
			k.stop(s)
		}
	}
	k.teller.Keep(labels)
	return changes, nil
}

// sameWatch reports whether a source can be watched on as it is.
func sameWatch(a, b config.Source) bool {
	return a.Settle == b.Settle && a.Poll == b.Poll && a.CacheDirTag == b.CacheDirTag &&
		slices.Equal(a.Exclude, b.Exclude) && slices.Equal(a.Presets, b.Presets)
}

// stop ends the keeping of a source, begin starts it, if Run is running. Between
// the two nothing is watched, and the new keeper begins with a scan. mu is held.
func (k *Keeper) stop(s *sourceKeeper) {
	if end := k.ends[s]; end != nil {
		delete(k.ends, s)
		end()
	}
}

func (k *Keeper) begin(s *sourceKeeper) {
	if k.ends != nil {
		k.start(s)
	}
}

// reconfigure takes over what needs no new watcher.
func (s *sourceKeeper) reconfigure(c config.Source) {
	s.mu.Lock()
	s.conf = c
	s.mu.Unlock()
	s.poke()
}

// Config is the configuration in force.
func (k *Keeper) Config() config.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conf
}
