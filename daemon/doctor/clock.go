package doctor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// clock says whether somebody keeps the time right: snapshots are named and
// kept by it.
func (e *examination) clock(context.Context) {
	const name = "clock"
	var t unix.Timex // nothing in Modes: only asked
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		e.add(name, Warn, fmt.Sprintf("unknown: adjtimex: %v", err), "See timedatectl.")
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		e.add(name, Warn, "is not synchronised", "sudo timedatectl set-ntp true")
	default:
		e.add(name, OK, "is synchronised", "")
	}
}
