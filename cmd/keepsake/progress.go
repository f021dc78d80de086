package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
)

// progressEvery is how often progress is told.
const progressEvery = 250 * time.Millisecond

// progress is how far a verb is. Shares are of bytes if their total is known,
// else of files.
type progress struct {
	MessageType string  `json:"message_type"` // "status"
	Action      string  `json:"action"`
	Percent     float64 `json:"percent_done,omitempty"` // 0 to 1; never falls
	Files       int64   `json:"files_done"`
	TotalFiles  int64   `json:"total_files,omitempty"`
	Bytes       int64   `json:"bytes_done"`
	TotalBytes  int64   `json:"total_bytes,omitempty"`
	Rate        int64   `json:"bytes_per_second,omitempty"`
	Elapsed     int64   `json:"seconds_elapsed"`
	Left        int64   `json:"seconds_remaining,omitempty"`
	Noun        string  `json:"noun,omitempty"` // what files are, if not files
	Note        string  `json:"note,omitempty"` // where to look meanwhile
}

// watchProgress tells progress until stop is called. look returns the present
// counts; shares and rates are worked out here.
func (o *output) watchProgress(ctx context.Context, look func() progress) (stop func()) {
	if o.options.Quiet || o.stream.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		m := meter{began: time.Now()}
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				o.tell(m.measure(look(), time.Now()))
			case <-ctx.Done():
				o.tell(progress{})
				return
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// tell sends progress on; an empty one ends the display.
func (o *output) tell(p progress) {
	p.MessageType = "status"
	b, err := json.Marshal(p)
	if err != nil {
		panic("cmd: " + err.Error())
	}
	// Progress is a courtesy: who cannot be told is not waited for.
	_ = o.stream.Progress(b)
}

// meter derives shares, rate and remaining time from counts.
type meter struct {
	began   time.Time
	last    time.Time
	bytes   int64
	rate    float64 // bytes a second, smoothed over some ten seconds
	percent float64
}

func (m *meter) measure(p progress, now time.Time) progress {
	elapsed := now.Sub(m.began)
	p.Elapsed = int64(elapsed.Seconds())
	if m.last.IsZero() {
		m.last = m.began
	}
	if d := now.Sub(m.last).Seconds(); d > 0 {
		current := float64(p.Bytes-m.bytes) / d
		// Early on the mean over all of it says more than the last moments.
		weight := max(d/10, d/max(elapsed.Seconds(), d))
		m.rate += (current - m.rate) * min(1, weight)
		m.last, m.bytes = now, p.Bytes
	}
	p.Rate = int64(max(0, m.rate))
	switch {
	case p.TotalBytes > 0:
		m.percent = max(m.percent, float64(p.Bytes)/float64(p.TotalBytes))
	case p.TotalFiles > 0:
		m.percent = max(m.percent, float64(p.Files)/float64(p.TotalFiles))
	}
	p.Percent = min(1, m.percent)
	if p.TotalBytes > p.Bytes && p.Rate > 0 && elapsed > 3*time.Second {
		p.Left = (p.TotalBytes - p.Bytes) / p.Rate
	}
	return p
}

func (p *progress) line() string {
	s := p.Action
	if p.TotalBytes > 0 || p.TotalFiles > 0 {
		s += fmt.Sprintf(" %d %%", int(p.Percent*100))
	}
	noun := p.Noun
	if noun == "" {
		noun = "files"
	}
	s += "  " + humanize.Comma(p.Files) + " " + noun + "  " + size(p.Bytes) + "  " + size(p.Rate) + "/s"
	if p.Left > 0 {
		s += "  " + roughly(time.Duration(p.Left)*time.Second) + " left"
	}
	if p.Note != "" {
		s += "     " + p.Note
	}
	return s
}

// roughly says a duration in one unit.
func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%d h", int(d.Hours()+0.5))
}
