package tree_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"keepsake/store/tree"
)

func TestInvalidSnapshots(t *testing.T) {
	tests := map[string]struct {
		change func(s *tree.Snapshot)
		want   error
	}{
		"number 0":        {func(s *tree.Snapshot) { s.Number = 0 }, tree.ErrInvalid},
		"no predecessor":  {func(s *tree.Snapshot) { s.Previous = nil }, tree.ErrInvalid},
		"first with one":  {func(s *tree.Snapshot) { s.Number = 1 }, tree.ErrInvalid},
		"named root":      {func(s *tree.Snapshot) { s.Root.Name = []byte("a") }, tree.ErrInvalid},
		"invalid root":    {func(s *tree.Snapshot) { s.Root.Mode = 1 << 20 }, tree.ErrInvalid},
		"basis":           {func(s *tree.Snapshot) { s.Basis = 5 }, tree.ErrInvalid},
		"zone":            {func(s *tree.Snapshot) { s.ZoneOffset = -90000 }, tree.ErrInvalid},
		"time":            {func(s *tree.Snapshot) { s.Finished.Nsec = 1e9 }, tree.ErrInvalid},
		"label":           {func(s *tree.Snapshot) { s.Label = strings.Repeat("x", 4097) }, tree.ErrLimit},
		"host":            {func(s *tree.Snapshot) { s.Host = "\xff" }, tree.ErrInvalid},
		"tags":            {func(s *tree.Snapshot) { slices.Reverse(s.Tags) }, tree.ErrOrder},
		"causes":          {func(s *tree.Snapshot) { s.Why = []string{"start", "overflow"} }, tree.ErrOrder},
		"rules":           {func(s *tree.Snapshot) { s.Dropped = []tree.Dropped{{Rule: "b", Paths: 1}, {Rule: "a", Paths: 1}} }, tree.ErrOrder},
		"rule twice":      {func(s *tree.Snapshot) { s.Dropped = []tree.Dropped{{Rule: "a", Paths: 1}, {Rule: "a", Paths: 2}} }, tree.ErrOrder},
		"rule of nothing": {func(s *tree.Snapshot) { s.Dropped = []tree.Dropped{{Rule: "a"}} }, tree.ErrInvalid},
		"no rule":         {func(s *tree.Snapshot) { s.Dropped = []tree.Dropped{{Paths: 1}} }, tree.ErrInvalid},
		"long rule": {func(s *tree.Snapshot) {
			s.Dropped = []tree.Dropped{{Rule: strings.Repeat("r", tree.MaxString+1), Paths: 1}}
		}, tree.ErrLimit},
		"empty tag":       {func(s *tree.Snapshot) { s.Tags[0] = "" }, tree.ErrInvalid},
		"heads":           {func(s *tree.Snapshot) { s.Heads = append(s.Heads, s.Heads[0]) }, tree.ErrOrder},
		"missed uncount":  {func(s *tree.Snapshot) { s.MissedCount = 0 }, tree.ErrInvalid},
		"missed unlisted": {func(s *tree.Snapshot) { s.MissedList = nil }, tree.ErrInvalid},
		"missed listed":   {func(s *tree.Snapshot) { s.MissedCount = 1 }, tree.ErrInvalid},
		"missed hole":     {func(s *tree.Snapshot) { s.MissedList = tree.ExtentList{hole(5)} }, tree.ErrInvalid},
		"missed path":     {func(s *tree.Snapshot) { s.Missed[0].Path = []byte("a/../b") }, tree.ErrName},
		"missed many":     {func(s *tree.Snapshot) { s.Missed = make([]tree.Missed, 65); s.MissedCount = 66 }, tree.ErrLimit},
		"file system":     {func(s *tree.Snapshot) { s.Filesystems[0].ID = make([]byte, 33) }, tree.ErrLimit},
		"known extra":     {func(s *tree.Snapshot) { s.Extra = tree.Extra{{Key: 19, Value: []byte{0}}} }, tree.ErrInvalid},
	}
	for name, test := range tests {
		s := sampleSnapshot()
		test.change(s)
		if _, err := s.Marshal(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalidLedgerEntries(t *testing.T) {
	tests := map[string]struct {
		kind   string
		change func(e *tree.LedgerEntry)
		want   error
	}{
		"kind 0":             {"forget", func(e *tree.LedgerEntry) { e.Kind = 0 }, tree.ErrUnknownKey},
		"kind 9":             {"forget", func(e *tree.LedgerEntry) { e.Kind = 9 }, tree.ErrUnknownKey},
		"forget nothing":     {"forget", func(e *tree.LedgerEntry) { e.Snapshots = nil }, tree.ErrInvalid},
		"number":             {"forget", func(e *tree.LedgerEntry) { e.Snapshots[0].Number = 0 }, tree.ErrInvalid},
		"order":              {"forget", func(e *tree.LedgerEntry) { slices.Reverse(e.Snapshots) }, tree.ErrOrder},
		"replaced by forget": {"forget", func(e *tree.LedgerEntry) { e.Snapshots[0].Replacement = someID[:] }, tree.ErrInvalid},
		"forget paths":       {"forget", func(e *tree.LedgerEntry) { e.Paths = [][]byte{[]byte("a")} }, tree.ErrInvalid},
		"purge nothing":      {"purge", func(e *tree.LedgerEntry) { e.Paths = nil }, tree.ErrInvalid},
		"purge all":          {"purge", func(e *tree.LedgerEntry) { e.Paths[0] = nil }, tree.ErrOrder},
		"purge up":           {"purge", func(e *tree.LedgerEntry) { e.Paths[0] = []byte("../x") }, tree.ErrName},
		"purge order":        {"purge", func(e *tree.LedgerEntry) { slices.Reverse(e.Paths) }, tree.ErrOrder},
		"replacement":        {"purge", func(e *tree.LedgerEntry) { e.Snapshots[0].Replacement = []byte("short") }, tree.ErrInvalid},
		"pin tags":           {"pin", func(e *tree.LedgerEntry) { e.Tags = []string{"a"} }, tree.ErrInvalid},
		"unpin until":        {"unpin", func(e *tree.LedgerEntry) { e.Until.Sec = 1 }, tree.ErrInvalid},
		"no slot":            {"slot-removed", func(e *tree.LedgerEntry) { e.Slot = nil }, tree.ErrInvalid},
		"slot":               {"tag", func(e *tree.LedgerEntry) { e.Slot = &someKey }, tree.ErrInvalid},
		"source":             {"tag", func(e *tree.LedgerEntry) { e.Source = &someKey }, tree.ErrInvalid},
		"why":                {"tag", func(e *tree.LedgerEntry) { e.Why = "\xff" }, tree.ErrInvalid},
	}
	for name, test := range tests {
		e := sampleLedger()[test.kind]
		test.change(e)
		if _, err := e.Marshal(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalidRecords(t *testing.T) {
	opening := func() *tree.Condemned { return sampleCondemned()["opening"] }
	closing := func() *tree.Condemned { return sampleCondemned()["closing"] }
	condemned := func(c *tree.Condemned, change func(c *tree.Condemned)) marshaler { change(c); return c }
	catalog := func(change func(c *tree.Catalog)) marshaler { c := sampleCatalog(); change(c); return c }
	settings := func(change func(c *tree.Settings)) marshaler { s := sampleSettings(); change(s); return s }
	for name, test := range map[string]struct {
		v    marshaler
		want error
	}{
		"opening nothing":     {condemned(opening(), func(c *tree.Condemned) { c.Packs = nil }), tree.ErrInvalid},
		"opening and closing": {condemned(opening(), func(c *tree.Condemned) { c.Opens = &someID }), tree.ErrInvalid},
		"opening spares":      {condemned(opening(), func(c *tree.Condemned) { c.Spared = ids32(1, 1) }), tree.ErrInvalid},
		"condemned order":     {condemned(opening(), func(c *tree.Condemned) { slices.Reverse(c.Packs) }), tree.ErrOrder},
		"grace":               {condemned(opening(), func(c *tree.Condemned) { c.Grace = 1 << 40 }), tree.ErrLimit},
		"spared and deleted":  {condemned(closing(), func(c *tree.Condemned) { c.Spared = ids32(1, 3) }), tree.ErrInvalid},
		"catalog order":       {catalog(func(c *tree.Catalog) { slices.Reverse(c.Packs) }), tree.ErrOrder},
		"catalog epoch":       {catalog(func(c *tree.Catalog) { c.Packs[0].Epoch = 0 }), tree.ErrInvalid},
		"catalog size":        {catalog(func(c *tree.Catalog) { c.Packs[0].Size = 0 }), tree.ErrInvalid},
		"polynomial":          {settings(func(s *tree.Settings) { s.Polynomial = 0 }), tree.ErrInvalid},
		"grade":               {settings(func(s *tree.Settings) { s.Fine.Min = s.Fine.Max + 1 }), tree.ErrInvalid},
		"large grade":         {settings(func(s *tree.Settings) { s.Coarse.Max = tree.MaxChunk + 1 }), tree.ErrInvalid},
		"missed nothing":      {&tree.MissedPage{}, tree.ErrInvalid},
	} {
		if _, err := test.v.Marshal(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
