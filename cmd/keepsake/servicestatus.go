package main

import (
	"context"
	"os/exec"
	"strings"

	"keepsake/packaging/systemd"
)

// aboutUnit says what a state means to a person.
var aboutUnit = map[unitKind]string{
	unitAbsent:   "not installed",
	unitCurrent:  "installed",
	unitOld:      "installed by another version or from another place; keepsake service install renews it",
	unitEdited:   "changed by hand",
	unitForeign:  "not written by keepsake service install",
	unitShadowed: "brought by a package",
}

func (u *serviceUnit) status(ctx context.Context) error {
	state := map[string]string{}
	if u.inPlay {
		var err error
		if state, err = u.ask(ctx); err != nil {
			return err
		}
	}
	there := u.state.kind != unitAbsent
	configured := exists(u.configPath())
	if u.out.options.JSON {
		u.out.emit("service", map[string]any{
			"unit": u.path, "state": string(u.state.kind), "drop_ins": append([]string{}, u.state.dropIns...), "config": u.configPath(),
			"configured": configured, "systemd": u.inPlay, "active": state["ActiveState"], "enabled": state["UnitFileState"],
			"status": state["StatusText"],
		})
	} else {
		u.out.printf("Unit           %s: %s", u.path, aboutUnit[u.state.kind])
		for _, d := range u.state.dropIns {
			u.out.printf("Drop-in        %s", d)
		}
		configuredText := "there"
		if !configured {
			configuredText = "missing"
		}
		u.out.printf("Configuration  %s: %s", u.configPath(), configuredText)
		if u.inPlay {
			u.out.printf("Service        %s", sentence(state))
		} else {
			u.out.printf("Service        systemd does not run here")
		}
	}
	if !there || !configured || u.inPlay && state["ActiveState"] != "active" {
		return errIncomplete
	}
	return nil
}

// ask asks systemd how the service is.
func (u *serviceUnit) ask(ctx context.Context) (map[string]string, error) {
	args := u.systemctl("show", "--property=ActiveState,SubState,UnitFileState,StatusText", systemd.Name)
	b, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return nil, err
	}
	state := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		state[key] = value
	}
	return state, nil
}

// sentence is what systemd answered, as a person reads it. A unit that is not
// there has no state of its file, and one that never ran no status.
func sentence(state map[string]string) string {
	s := state["ActiveState"] + " (" + state["SubState"] + ")"
	if enabled := state["UnitFileState"]; enabled != "" {
		s += ", " + enabled
	}
	if text := state["StatusText"]; text != "" {
		s += ": " + text
	}
	return s
}
