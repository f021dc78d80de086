package rules_test

import (
	"strings"
	"testing"

	"keepsake/daemon/rules"
)

func made(t *testing.T, patterns []string, presets []string, tags bool) *rules.Rules {
	t.Helper()
	r, err := rules.New(patterns, presets, tags)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPresets holds each preset to what it must drop and, more so, to what it
// must never drop.
func TestPresets(t *testing.T) {
	all := map[string]map[string]bool{
		"nle-caches": {
			"p/Adobe Premiere Pro Video Previews/":                   true,
			"p/Adobe Premiere Pro Auto-Save/":                        false,
			"p/Adobe Premiere Pro Captured Video/":                   false,
			"c/Media Cache Files/a 48000.cfa":                        true,
			"c/a.cfa":                                                false,
			"f/Wedding.fcpbundle/2026/Render Files/":                 true,
			"f/Wedding.fcpbundle/2026/Transcoded Media/":             false,
			"f/Wedding.fcpbundle/2026/Original Media/":               false,
			"f/Render Files/":                                        false,
			"r/CacheClip/":                                           true,
			"r/.gallery/":                                            false,
			"r/ProxyMedia/":                                          false,
			"Avid MediaFiles/MXF/1/msmMMOB.mdb":                      true,
			"Avid MediaFiles/MXF/1/A001.mxf":                         false,
			"Avid Attic/":                                            false,
			"l/Main Previews.lrdata/":                                true,
			"l/Main Smart Previews.lrdata/":                          false,
			"l/Main Sync.lrdata/":                                    false,
			"l/Main Helper.lrdata/":                                  true,
			"l/Main.lrcat":                                           false,
			"s/CaptureOne/Cache/":                                    true,
			"s/CaptureOne/Settings/":                                 false,
			".BridgeSort":                                            false,
			"Final Cut Pro Documents/Render Files/":                  true,
			"Final Cut Pro Documents/Autosave Vault/":                false,
			"Final Cut Pro Documents/Capture Scratch/":               false,
			"x/Adobe After Effects Disk Cache - nas.noindex/":        true,
			"movies/iMovie Library.imovielibrary/a/Render Files/":    true,
			"movies/iMovie Library.imovielibrary/a/Original Media/x": false,
		},
		"nas-droppings": {
			"a/@eaDir/IMG_1.jpg/":             true,
			"a/@eaDir/IMG_1.jpg@SynoResource": false,
			"a/@eaDir/IMG_1.jpg@SynoEAStream": false,
			".@__thumb/":                      true,
			"#recycle/":                       true,
			"@Recycle/":                       true,
			"a/thumbs.DB":                     true,
			"a/Desktop.ini":                   true,
			"a/.DS_Store":                     true,
			"a/._.DS_Store":                   false,
			"a/._IMG_1.jpg":                   false,
			"a/.AppleDouble/":                 false,
			"a/.AppleDouble/IMG_1.jpg":        false,
			".streams/":                       false,
			"lost+found/":                     false,
			"recycle/":                        false,
		},
	}
	for _, p := range rules.Presets() {
		if len(all[p.Name]) == 0 {
			t.Errorf("nothing is checked of preset %s", p.Name)
		}
		for _, pattern := range p.Patterns {
			if pattern.Why == "" {
				t.Errorf("%s does not say why %s is no loss", p.Name, pattern.Pattern)
			}
		}
		r := made(t, nil, []string{p.Name}, false)
		for path, want := range all[p.Name] {
			rule, got := r.Match(strings.TrimSuffix(path, "/"), strings.HasSuffix(path, "/"))
			if got != want || got && rule != "preset "+p.Name {
				t.Errorf("%s, %s: %v by %q", p.Name, path, got, rule)
			}
		}
	}
	// A person has the last word.
	if _, out := made(t, []string{"!.DS_Store"}, []string{"nas-droppings"}, false).Match("a/.DS_Store", false); out {
		t.Error("a pattern did not take back what a preset leaves out")
	}
}
