package guard_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"keepsake/daemon/guard"
)

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// TestPromises has the beginnings of formats that no tool here can make, as
// their makers' cameras write them.
func TestPromises(t *testing.T) {
	for _, tt := range []struct{ name, head string }{
		{"IMG_1.CR2", "II*\x00\x10\x00\x00\x00CR\x02\x00"},
		{"DSC_1.NEF", "MM\x00*\x00\x00\x00\x08"},
		{"DSC1.ARW", "II*\x00\x08\x00\x00\x00"},
		{"P1.ORF", "IIRO\x08\x00\x00\x00"},
		{"P2.orf", "IIRS\x08\x00\x00\x00"},
		{"P3.ORF", "MMOR\x00\x00\x00\x08"},
		{"P1.RW2", "IIU\x00\x18\x00\x00\x00"},
		{"K1.PEF", "MM\x00*\x00\x00\x00\x08"},
		{"L1.dng", "II*\x00\x08\x00\x00\x00"},
		{"F1.RAF", "FUJIFILMCCD-RAW 0201FF383501"},
		{"IMG_2.CR3", "\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01"},
		{"IMG_3.HEIC", "\x00\x00\x00\x24ftypheic\x00\x00\x00\x00"},
		{"A001.mov", "\x00\x00\x00\x14ftypqt  "},
		{"A002.MOV", "\x00\x00\x00\x08wide\x00\x12\x34\x56mdat"},
		{"A003.mov", "\x00\x00\x07\xc4moov\x00\x00\x00\x6cmvhd"},
		{"A004.braw", "\x00\x00\x00\x08wide\x00\x12\x34\x56mdat"},
		{"A005.R3D", "\x00\x00\x02\x00RED2\x00"},
		{"A006.mxf", "\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"},
		{"a.psd", "8BPS\x00\x01"},
		{"a.pdf", "\x00\x00%PDF-1.7\n"},
		{"a.ai", "%PDF-1.5\r"},
		{"a.xmp", "<?xpacket begin=\"\xef\xbb\xbf\" id="},
		{"b.xmp", "\xef\xbb\xbf<x:xmpmeta"},
		{"c.xml", "\xff\xfe<\x00?\x00x\x00m\x00l\x00"},
		{"d.xml", "\n\n  <xml/>"},
		{"a.wav", "RF64\xff\xff\xff\xffWAVEds64"},
		{"a.aif", "FORM\x00\x00\x10\x00AIFF"},
		{"a.lrcat", "SQLite format 3\x00\x10\x00"},
		{"a.docx", "PK\x03\x04\x14\x00"},
		// Wrong names are a nuisance, and no noise.
		{"heic.jpg", "\x00\x00\x00\x24ftypheic\x00\x00\x00\x00"},
		{"png.jpg", "\x89PNG\r\n\x1a\n"},
		{"webp.jpg", "RIFF\x00\x00\x10\x00WEBPVP8 "},
		{"locked.docx", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
	} {
		kind, ok := guard.KindOf(tt.name)
		if !ok || !kind.Fits([]byte(tt.head)) {
			t.Errorf("%s beginning %q does not fit (%v)", tt.name, tt.head, ok)
		}
		misfits := 0
		for seed := range byte(200) {
			if !kind.Fits(noise(seed, guard.HeadSize)) {
				misfits++
			}
		}
		if misfits < 198 { // two bytes or less are not enough to tell
			t.Errorf("%s: %d of 200 heads of noise fit", tt.name, 200-misfits)
		}
		for what, head := range map[string][]byte{"nothing": nil, "zeros": make([]byte, 1024), "text": []byte("your files are encrypted")} {
			if kind.Fits(head) {
				t.Errorf("%s fits %s", what, tt.name)
			}
		}
	}
}

// TestNamesThatPromiseNothing, whatever they hold.
func TestNamesThatPromiseNothing(t *testing.T) {
	for _, name := range []string{"", ".jpg", "jpg", "._IMG_1.JPG", "a.", "a.x3f", "a.locked", "IMG_1.jpg.locked", "a.unknown"} {
		if _, ok := guard.KindOf(name); ok {
			t.Errorf("%q promises something", name)
		}
	}
}

func TestWrapped(t *testing.T) {
	for name, want := range map[string]bool{
		"IMG_1.jpg.locked": true, "A.MOV.[id-77].crypt": false, "A.MOV.crypt": true, "IMG.CR2.a1b2c3": true,
		"IMG_1.CR2.xmp": false, "IMG_1.jpg": false, "IMG_1.locked": false, "IMG_1.jpg.bak": false, "IMG_1.CR2.dop": false, "clip.mov.pek": false,
		"IMG_1.JPG_original": false, "app.log.locked": false, "a.xml.2026-11-21": false, "a.jpg.1": false, "._a.jpg.locked": false, "a.jpg.part": false,
	} {
		if guard.Wrapped(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestKnown(t *testing.T) {
	for ext, want := range map[string]bool{"jpg": true, "xmp": true, "bak": true, "001": true, "2026-11-21": true, "jpg_original": true, "": false, "locked": false, "jpg_old": false, "a1b2": false} {
		if guard.Known(ext) != want {
			t.Errorf("%q: %v", ext, !want)
		}
	}
}

// TestSampleTellsNoiseFromText at all sizes that are asked about.
func TestSampleTellsNoiseFromText(t *testing.T) {
	for _, size := range []int{512, 1000, 4096, 16 << 10, 100_000, 1 << 20} {
		text := []byte(strings.Repeat("<rdf:li>Hochzeit Weber, 21. November 2026, Zürich</rdf:li>\n", size/50+1))[:size]
		utf16 := make([]byte, 0, size)
		for _, r := range string(text[:size/2]) {
			utf16 = append(utf16, byte(r), byte(r>>8))
		}
		table := make([]byte, 0, size)
		for i := 0; len(table) < size; i++ {
			table = fmt.Appendf(table, "%x,%d;", i*7919, i)
		}
		for name, b := range map[string][]byte{
			"text": text, "UTF-16": utf16, "table": table[:size], "zeros": make([]byte, size),
			"base64": []byte(base64.StdEncoding.EncodeToString(noise(1, size)))[:size],
		} {
			if random(b) {
				t.Errorf("%d bytes of %s are random", size, name)
			}
		}
		for seed := range byte(50) {
			if !random(noise(seed, size)) {
				t.Errorf("%d bytes of noise %d are not random", size, seed)
			}
		}
	}
	if random(noise(1, 511)) {
		t.Error("too little to tell is random")
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for i := range 100_000 {
		fmt.Fprintf(w, "%d\t%x\n", i, i*7919)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b := packed.Bytes(); !random(b[:100_000]) {
		t.Log("gzip is told from noise, which nothing relies on")
	}
}

func random(b []byte) bool {
	var s guard.Sample
	for len(b) > 0 { // as a reader sees it
		n := min(len(b), 64<<10)
		s.Add(b[:n])
		b = b[n:]
	}
	return s.Random()
}
