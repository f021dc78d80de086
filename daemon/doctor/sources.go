package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"keepsake/daemon/watch"
)

// sources says of each whether it is there and whether events tell of its
// changes.
func (e *examination) sources(context.Context) {
	for _, s := range e.o.Sources {
		name := "source " + s.Label
		f, err := os.Open(s.Path)
		if err != nil {
			e.add(name, Fail, fmt.Sprintf("%v", err), "Mount it, correct the path, or let keepsake's user read it.")
			continue
		}
		info, err := f.Stat()
		if err = errors.Join(err, f.Close()); err != nil {
			e.add(name, Fail, fmt.Sprintf("%v", err), "Look at the disk and its messages in dmesg.")
			continue
		}
		if !info.IsDir() {
			e.add(name, Fail, s.Path+" is not a directory", "A source is a directory; name the one that the file is in.")
			continue
		}
		e.present = append(e.present, s)
		e.polled(name, s)
	}
}

// leavesOut reports whether a directory is excluded, or below one that is.
func (s Source) leavesOut(rel string) bool {
	if s.Exclude == nil {
		return false
	}
	for i := range len(rel) {
		if rel[i] == '/' && s.Exclude(rel[:i], true) {
			return true
		}
	}
	return s.Exclude(rel, true)
}

// polled says which parts of a source are scanned instead of watched.
func (e *examination) polled(name string, s Source) {
	const remedy = "Changes that other machines make there are seen at the next scan (poll = …). Run keepsake where the disk is if they are to be seen at once."
	fstype, remote := watch.Remote(s.Path)
	if remote {
		e.add(name, Warn, fmt.Sprintf("%s is polled: %s sends no events", s.Path, fstype), remedy)
		return
	}
	below, err := watch.RemoteBelow(s.Path)
	if err != nil {
		e.add(name, Warn, fmt.Sprintf("what is mounted below %s is unknown: %v", s.Path, err), "Mount /proc for keepsake's service.")
		return
	}
	var parts []string
	for _, b := range below {
		if !s.leavesOut(b.Rel) {
			parts = append(parts, fmt.Sprintf("%s (%s)", b.Rel, b.Type))
		}
	}
	if len(parts) > 0 {
		const most = 5
		if len(parts) > most {
			parts = append(parts[:most], fmt.Sprintf("%d more", len(parts)-most))
		}
		e.add(name, Warn, "polled, because no events come from there: "+strings.Join(parts, ", "), remedy)
		return
	}
	e.add(name, OK, fmt.Sprintf("%s is watched (%s)", s.Path, fstype), "")
}
