package main

import (
	"context"
	"errors"
	"strings"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/gentle"
)

// reloads reads the configuration again at each SIGHUP until ctx ends.
func (d *service) reloads(ctx context.Context, s *session, k *daemon.Keeper) {
	for {
		select {
		case <-d.hup:
		case <-ctx.Done():
			return
		}
		d.supervisor.Reloading()
		changes, err := d.reload(ctx, s, k)
		if err != nil {
			d.a.logger().Error("the configuration is not taken over; the old one stays", "config", d.file, "error", err)
			s.troubles.set(troubleConfig, "the new configuration is not in force, the old one stays: "+firstProblem(err))
			d.supervisor.Ready("The new configuration is invalid, the old one stays: see keepsake config check; " + d.summary(k))
			continue
		}
		d.a.logger().Info("configuration read again", "config", d.file,
			"added", listed(changes.Added), "removed", listed(changes.Removed), "changed", listed(changes.Changed))
		s.troubles.set(troubleConfig, "")
		d.supervisor.Ready(d.summary(k))
	}
}

// reload takes the file over. What counts from the next start only is compared
// with what this process started with: a change that is taken back ends the
// wait for a restart.
func (d *service) reload(ctx context.Context, s *session, k *daemon.Keeper) (config.Changes, error) {
	c, notes, err := d.readConfig()
	if err != nil {
		return config.Changes{}, err
	}
	made, err := k.Reload(ctx, c)
	if err != nil {
		return made, err
	}
	d.tellNotes(notes)
	if c.Memory != d.memory {
		d.memory = c.Memory
		gentle.Apply(gentle.Options{Eager: true, Memory: c.Memory, GoMemLimit: d.a.env.get("GOMEMLIMIT")}).Log(d.a.logger())
	}
	changes, err := config.Changed(d.a.config, c)
	if err != nil || len(changes.Restart) == 0 {
		s.troubles.set(troubleRestart, "")
		return made, nil // labels that moved cannot be: the keeper has refused those
	}
	text := "some changes of the configuration count when keepsake starts again: " + strings.Join(changes.Restart, ", ")
	if s.troubles.set(troubleRestart, text) {
		d.a.logger().Warn(text)
	}
	return made, nil
}

// listed are the labels of sources, in one word for the log.
func listed(sources []config.Source) string {
	var all []string
	for _, c := range sources {
		all = append(all, c.Label)
	}
	return strings.Join(all, ", ")
}

// firstProblem says in one line what is wrong with a configuration.
func firstProblem(err error) string {
	if wrong, ok := errors.AsType[*config.FileError](err); ok {
		return wrong.Path + ": " + wrong.Problems[0].String()
	}
	return oneLine(err.Error())
}
