package chunking_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"keepsake/chunking"
)

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*chunking.Params){
		"polynomial zero":          func(p *chunking.Params) { p.Polynomial = 0 },
		"polynomial even":          func(p *chunking.Params) { p.Polynomial ^= 1 },
		"polynomial reducible":     func(p *chunking.Params) { p.Polynomial ^= 2 },
		"polynomial square":        func(p *chunking.Params) { p.Polynomial = 1<<53 | 1 },
		"polynomial small":         func(p *chunking.Params) { p.Polynomial = 7 },
		"polynomial large":         func(p *chunking.Params) { p.Polynomial |= 1 << 54 },
		"head negative":            func(p *chunking.Params) { p.Head = -1 },
		"head large":               func(p *chunking.Params) { p.Head = 1<<30 + 1 },
		"fine minimum":             func(p *chunking.Params) { p.Fine.Min = 63 },
		"fine maximum":             func(p *chunking.Params) { p.Fine.Max = p.Fine.Min - 1 },
		"fine no bits":             func(p *chunking.Params) { p.Fine.Bits = 0 },
		"coarse maximum":           func(p *chunking.Params) { p.Coarse.Max = chunking.MaxChunk + 1 },
		"coarse bits":              func(p *chunking.Params) { p.Coarse.Bits = 27 },
		"coarse finer than fine":   func(p *chunking.Params) { p.Coarse.Min = p.Fine.Min - 1 },
		"coarse minimum above max": func(p *chunking.Params) { p.Coarse.Min = chunking.MaxChunk + 1 },
	} {
		p := chunking.Default(fixed)
		change(&p)
		err := p.Validate()
		if !errors.Is(err, chunking.ErrParams) {
			t.Errorf("%s: Validate returned %v", name, err)
		}
		if s, err := chunking.New(p); s != nil || !errors.Is(err, chunking.ErrParams) {
			t.Errorf("%s: New returned %v, %v", name, s, err)
		}
	}
	p := chunking.Default(fixed)
	if err := p.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	p.Head, p.Fine = 0, chunking.Grade{Min: 64, Max: 64, Bits: 1}
	if err := p.Validate(); err != nil {
		t.Errorf("smallest: %v", err)
	}
	p.Head, p.Fine, p.Coarse = 1<<30, p.Coarse, chunking.Grade{Min: chunking.MaxChunk, Max: chunking.MaxChunk, Bits: 26}
	if err := p.Validate(); err != nil {
		t.Errorf("largest: %v", err)
	}
}

func TestNewPolynomial(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	seen := map[chunking.Polynomial]bool{}
	for range 5 {
		p, err := chunking.NewPolynomial(random)
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] {
			t.Fatal("the same polynomial twice")
		}
		seen[p] = true
		if err := chunking.Default(p).Validate(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := chunking.NewPolynomial(rand.NewChaCha8([32]byte{1}))
	if err != nil || !seen[again] {
		t.Fatalf("the same randomness gave another polynomial (%v)", err)
	}
	if _, err := chunking.NewPolynomial(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Fatalf("no randomness: %v", err)
	}
}

func TestPolynomialDecidesCuts(t *testing.T) {
	data := seeded(20, 50_000)
	p, err := chunking.NewPolynomial(rand.NewChaCha8([32]byte{2}))
	if err != nil {
		t.Fatal(err)
	}
	other := small
	other.Polynomial = p
	s := newSplitter(t, other)
	s.Reset(bytes.NewReader(data), 0, false)
	got, _ := split(t, s)
	if fmt.Sprint(got) != fmt.Sprint(reference(other, data, 0, false)) {
		t.Fatal("cuts differ from the definition")
	}
	if fmt.Sprint(got) == fmt.Sprint(reference(small, data, 0, false)) {
		t.Fatal("two polynomials cut alike")
	}
}

func TestPolynomialIsNotPrinted(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "p", fixed)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "p", fixed)
	p := chunking.Default(fixed)
	shown := fmt.Sprintf("%v %d %x %X %s %q %#v %+v %b %o", fixed, fixed, fixed, fixed, fixed, fixed, fixed, fixed, fixed, fixed) +
		fmt.Sprintf("%v %+v %#v", p, p, p) + log.String()
	if n := strings.Count(shown, "[secret]"); n != 15 {
		t.Errorf("[secret] shown %d times, want 15: %s", n, shown)
	}
	for _, format := range []string{"%d", "%x", "%X", "%b", "%o"} {
		if strings.Contains(shown, fmt.Sprintf(format, uint64(fixed))) {
			t.Errorf("the polynomial was printed as %s", format)
		}
	}
}

func TestPageEdited(t *testing.T) {
	for head, want := range map[string]bool{
		"":                                 false,
		"SQLite format 3":                  false,
		"SQLite format 3\x00":              true,
		"SQLite format 3\x00\x10\x00\x01":  true,
		"SQLite format 4\x00":              false,
		" SQLite format 3\x00":             false,
		"\xff\xd8\xff\xe1 SQLite format 3": false,
	} {
		if got := chunking.PageEdited([]byte(head)); got != want {
			t.Errorf("%q: got %t", head, got)
		}
	}
}
