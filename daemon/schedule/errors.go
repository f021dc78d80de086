package schedule

import "errors"

// ErrSchedule is what every error about a schedule is.
var ErrSchedule = errors.New("not a schedule")
