package main

import (
	"context"
	"net/http"
	"time"

	"keepsake/daemon/health"
)

// scrapeTimeout bounds the gathering of figures: scrapers wait 10 s.
const scrapeTimeout = 8 * time.Second

// metrics serves what status tells, for those who draw curves and ring bells.
func (s *session) metrics(a *app) http.Handler {
	return health.Handler(health.MetricsOptions{Version: version, Log: a.logger(), Read: func() health.Readings {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		return s.readings(ctx, a)
	}})
}

func (s *session) readings(ctx context.Context, a *app) health.Readings {
	var r health.Readings
	o, err := s.look(ctx)
	if err != nil {
		// No samples at all are noticed; false ones are not.
		a.logger().Error("metrics: the sources cannot be looked at", "err", err)
		return r
	}
	if k := s.keeper.Load(); k != nil {
		told := k.Told()
		r.Alerts = health.Alerts{Waiting: uint64(told.Queued), Sent: told.Delivered, Failed: told.Failures}
	}
	r.ClockDoubt = o.doubt != ""
	r.Sources = health.JudgeAll(o.sources, s.repo.Now())
	if free, _, err := s.backend.Free(ctx); err != nil {
		a.logger().Error("metrics: the repository cannot be looked at", "err", err)
	} else {
		r.Repository = health.Repository{Snapshots: uint64(o.snapshots), Free: free, Known: true}
	}
	return r
}
