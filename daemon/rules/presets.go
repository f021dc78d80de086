package rules

import (
	"slices"
	"strings"
)

// Preset is a named set of patterns that a person may switch on. None is on by
// itself: what is a cache to one studio is a deliverable to another.
type Preset struct {
	Name, About string
	Patterns    []PresetPattern
}

// PresetPattern is a pattern and why what it matches is no loss.
type PresetPattern struct{ Pattern, Why string }

func (p Preset) rule() string { return "preset " + p.Name }

// parse parses the patterns of a preset. Their names come from Windows and
// macOS, whose file systems do not tell cases apart.
func (p Preset) parse() []pattern {
	var all []pattern
	for _, line := range p.Patterns {
		parsed, ok, err := parsePattern(line.Pattern)
		if err != nil || !ok {
			panic("rules: preset " + p.Name + " has a bad pattern: " + line.Pattern)
		}
		parsed.fold = true
		all = append(all, parsed)
	}
	return all
}

// Presets returns all there are. Never among them: ._* and .AppleDouble, which
// hold the resource forks and tags of Macs; auto-saves and Avid Attic, which
// are backups; Smart Previews, proxies and transcoded media, which people edit
// and hand on where the originals are not at hand; *.lrdata other than those
// named, .gallery and CaptureOne/Settings, which hold work.
func Presets() []Preset {
	return []Preset{
		{"nle-caches", "what editing programs compute anew from the media and projects that are kept", []PresetPattern{
			{"Adobe Premiere Pro Video Previews/", "Premiere Pro renders them anew"},
			{"Adobe Premiere Pro Audio Previews/", "Premiere Pro renders them anew"},
			{"**/Media Cache Files/*.cfa", "sound conformed by Premiere Pro from the media"},
			{"**/Media Cache Files/*.pek", "waveforms that Premiere Pro draws"},
			{"**/Media Cache Files/*.ims", "indexes of media files"},
			{"**/Peak Files/*.pek", "waveforms that Premiere Pro draws"},
			{"**/Media Cache/*.mcdb", "Premiere Pro's list of what it has cached"},
			{"Adobe After Effects Disk Cache*/", "frames that After Effects computes anew"},
			{"**/*.fcpbundle/**/Render Files/", "Final Cut Pro: Delete Generated Library Files removes them as well"},
			{"**/*.fcpbundle/**/Peaks Data/", "Final Cut Pro draws the waveforms anew"},
			{"**/*.imovielibrary/**/Render Files/", "iMovie renders them anew"},
			{"**/Final Cut Pro Documents/Render Files/", "Final Cut Pro 7 renders them anew"},
			{"**/Final Cut Pro Documents/Audio Render Files/", "Final Cut Pro 7 renders them anew"},
			{"**/Final Cut Pro Documents/Thumbnail Cache Files/", "Final Cut Pro 7 draws them anew"},
			{"**/Final Cut Pro Documents/Waveform Cache Files/", "Final Cut Pro 7 draws them anew"},
			{"CacheClip/", "DaVinci Resolve's render cache and optimized media"},
			{"**/Avid MediaFiles/**/msmMMOB.mdb", "Avid's database of the media beside it, rebuilt when it is missing"},
			{"**/Avid MediaFiles/**/msmFMID.pmr", "Avid's list of the media beside it, rebuilt when it is missing"},
			{"* Helper.lrdata/", "Lightroom's search index"},
			{"*[!t] Previews.lrdata/", "Lightroom draws previews anew from the originals; not those called Smart"},
			{"**/CaptureOne/Cache/", "Capture One draws previews anew; settings lie beside it, and are kept"},
			{"**/*.cocatalog/Cache/", "Capture One draws previews anew"},
			{".BridgeCache", "Bridge draws thumbnails anew"},
			{".BridgeCacheT", "Bridge draws thumbnails anew"},
		}},
		{"nas-droppings", "what file servers and desktops leave beside people's files", []PresetPattern{
			{"**/@eaDir/*/", "Synology's thumbnails and indexes; the streams of Macs lie beside them (name@SynoResource), and are kept"},
			{".@__thumb/", "QNAP's thumbnails"},
			{`\#recycle/`, "Synology's bin: files that people deleted"},
			{"@Recycle/", "QNAP's bin: files that people deleted"},
			{`\#snapshot/`, "Synology's view of its own snapshots"},
			{"@Recently-Snapshot/", "QNAP's view of its own snapshots"},
			{"$RECYCLE.BIN/", "the bin of Windows: files that people deleted"},
			{"System Volume Information/", "what Windows notes about a disk"},
			{"Thumbs.db", "thumbnails of Windows"},
			{"ehthumbs.db", "thumbnails of Windows"},
			{"desktop.ini", "how Windows shows a folder"},
			{".DS_Store", "how the Finder shows a folder"},
			{".Spotlight-V100/", "the search index of macOS"},
			{".fseventsd/", "the change log of macOS"},
			{".TemporaryItems/", "half-finished saves of macOS"},
			{".Trashes/", "the bin of macOS: files that people deleted"},
			{"Network Trash Folder/", "the bin of old Macs"},
			{".AppleDB/", "a file server's numbers for files, made anew"},
			{".AppleDesktop/", "a file server's icons, made anew"},
			{".apdisk", "how macOS shows a disk"},
		}},
	}
}

func presetNamed(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

func presetNames() string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}
