package guard

import (
	"bytes"
	"strings"
)

// HeadSize is how much of a file's beginning Fits wants to see, if there is as
// much: a PDF may begin with other bytes, an XMP packet with white space.
const HeadSize = 1024

// Kind is what the extension of a name promises about the content.
type Kind struct {
	fits         func(head []byte) bool // nil: any beginning does
	compressible bool                   // a sample of it is not random
}

// KindOf returns what a name promises. ok is false if it promises nothing.
func KindOf(name string) (k Kind, ok bool) {
	k, ok = promises[Extension(name)]
	return k, ok
}

// Extension returns the extension of a name in lower case, without the dot; ""
// if it has none. The files in which macOS keeps attributes on foreign file
// systems have the names of others and none of their content.
func Extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || strings.HasPrefix(name, "._") {
		return ""
	}
	return strings.ToLower(name[dot+1:])
}

// Fits reports whether a file may begin so: as its name promises, or as any
// other kind that is known here. A HEIC photo named .jpg is a nuisance, and no
// noise.
func (k Kind) Fits(head []byte) bool {
	if k.fits == nil || k.fits(head) {
		return true
	}
	for _, known := range beginnings {
		if known(head) {
			return true
		}
	}
	return false
}

// Compressible reports whether a sample of such a file can show that it was
// encrypted.
func (k Kind) Compressible() bool { return k.compressible }

// Distinct reports whether a name promises a beginning.
func Distinct(name string) bool {
	k, _ := KindOf(name)
	return k.fits != nil
}

// Known reports whether programs of a studio make files with this extension.
// Numbers and dates count as known, for copies and logs are kept so, and what
// exiftool leaves beside the files that it writes. None at
// all is not known: such names are as good as random ones.
func Known(extension string) bool {
	_, ok := promises[extension]
	return ok || others[extension] || strings.HasSuffix(extension, "_original") || extension != "" && strings.Trim(extension, "0123456789-_") == ""
}

// Wrapped reports whether a name is that of a file with a beginning of its own
// and behind it an extension that nobody knows: IMG_1.jpg.locked.
func Wrapped(name string) bool {
	ext := Extension(name)
	return ext != "" && !Known(ext) && Distinct(name[:len(name)-len(ext)-1])
}

// prefix returns a test for files that begin with one of some magics.
func prefix(magics ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, m := range magics {
			if bytes.HasPrefix(head, []byte(m)) {
				return true
			}
		}
		return false
	}
}

// at returns a test for one of some magics at an offset.
func at(offset int, magics ...string) func([]byte) bool {
	test := prefix(magics...)
	return func(head []byte) bool { return len(head) > offset && test(head[offset:]) }
}

var (
	jpeg = prefix("\xff\xd8\xff")
	// TIFF, and the RAW formats that are TIFF under other numbers: Olympus,
	// Panasonic, BigTIFF.
	tiff = prefix("II*\x00", "MM\x00*", "IIRO", "IIRS", "MMOR", "IIU\x00", "II+\x00", "MM\x00+")
	// ISO base media: MP4, QuickTime, HEIF, AVIF, CR3, CRM, BRAW. QuickTime
	// files may begin with any of these atoms.
	bmff   = at(4, "ftyp", "moov", "mdat", "wide", "free", "skip", "pnot", "uuid", "udta")
	riff   = prefix("RIFF", "RIFX", "RF64", "BW64")
	zip    = prefix("PK\x03\x04", "PK\x05\x06", "PK\x07\x08")
	sqlite = prefix("SQLite format 3\x00")
	mxf    = prefix("\x06\x0e\x2b\x34")
	fuji   = prefix("FUJIFILM")
	red    = at(4, "RED1", "RED2")
)

// beginnings are those of all kinds here that random bytes do not have by
// chance, and that do not pass for text.
var beginnings = []func([]byte) bool{
	jpeg, tiff, bmff, riff, zip, sqlite, mxf, fuji, red, pdf,
	prefix("\x89PNG", "GIF8", "8BPS", "FORM", "\x00\x00\x00\x0cjP  ", "\x00\x00\x00\x0cJXL ", "\xff\x0a",
		"\x1aE\xdf\xa3", "OggS", "fLaC", "ID3", "\x1f\x8b\x08", "7z\xbc\xaf\x27\x1c", "Rar!", "\xfd7zXZ\x00", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
		"\x00\x05\x16\x07", "\xc5\xd0\xd3\xc6", "bplist", "SDPX", "XPDS", "v/1\x01", "FOVb", "\x00MRM", "HEAPCCDR", "\x00\x00\x01\xba", "\x00\x00\x01\xb3"),
}

// pdf allows other bytes in front, as readers do.
func pdf(head []byte) bool {
	return bytes.Contains(head[:min(len(head), HeadSize)], []byte("%PDF-"))
}

// markup begins with an angle bracket, after a byte order mark and white space;
// in UTF-16 zeros lie between.
func markup(head []byte) bool {
	head = bytes.TrimLeft(head, "\x00\xef\xbb\xbf\xfe\xff \t\r\n")
	return bytes.HasPrefix(head, []byte("<"))
}

// promises are the kinds by extension. Only formats whose beginning is certain
// are here: a wrong promise would be a false alarm.
var promises = kinds(map[string]Kind{
	"jpg jpeg jpe jfif": {fits: jpeg},
	"cr2 nef nrw arw sr2 dng orf rw2 rwl pef srw 3fr fff gpr": {fits: tiff},
	"tif tiff": {fits: tiff},
	"mov mp4 m4v m4a m4b 3gp qt cr3 crm heic heif hif avif braw insv lrv": {fits: bmff},
	"raf":     {fits: fuji},
	"png":     {fits: prefix("\x89PNG\r\n\x1a\n")},
	"gif":     {fits: prefix("GIF87a", "GIF89a")},
	"psd psb": {fits: prefix("8BPS")},
	"pdf":     {fits: pdf},
	"ai":      {fits: func(head []byte) bool { return pdf(head) || prefix("%!PS")(head) }},
	"zip docx xlsx pptx odt ods odp epub idml": {fits: zip},
	"wav bwf rf64 avi webp":                    {fits: riff},
	"aif aiff aifc":                            {fits: prefix("FORM")},
	"mxf":                                      {fits: mxf},
	"r3d":                                      {fits: red},
	"mkv webm":                                 {fits: prefix("\x1aE\xdf\xa3")},
	"exr":                                      {fits: prefix("v/1\x01")},
	"dpx":                                      {fits: prefix("SDPX", "XPDS")},
	"xmp xml fcpxml svg":                       {fits: markup, compressible: true},
	"lrcat sqlite sqlite3 cocatalogdb":         {fits: sqlite, compressible: true},
	"txt csv tsv json sql md html htm log srt vtt edl ini yaml yml toml tex rtf ale db": {compressible: true},
})

// others are extensions that promise nothing, and that programs around a studio
// are known to make. They are no attack's, however many appear.
var others = words(`
	x3f crw mrw raw ptx pxn bay cap eip mef rwz iiq srf erf kdc dcr mos
	mts m2ts m2t mpg mpeg ts vob wmv asf flv mod tod f4v ogv ari arx cine dav
	mp3 flac ogg opus aac wma ac3 mid
	bmp ico jp2 j2k jxl jxr hdr tga cin ppm pgm eps ps dcp icc icm cube 3dl look lut acv atn abr aco
	dop pp3 cos cot cop comask cof on1 vrd arp dr4 nksc npd exf nmea gpx kml xmp_bak lrtemplate lrdata lrprev lrfprev lrmprev lrcat-data lrcat-wal lrcat-shm lrcat-journal
	cosessiondb cocatalog afphoto afdesign afpub kra xcf clip procreate sketch fig blend c4d obj fbx ma mb nk hip aep aepx indd indt aet prproj prel pproj plb
	drp drt dra drx fcpbundle fcpevent flexolibrary imovielibrary veg sesx ptf ptx als logicx cpr rpp band
	pek cfa pkf mpgindex ims mcdb prmdc2 xmpses cache idx thm bim bdm bup ifo cpi cpf mpl lrf sav sidecar aae bdmv
	doc xls ppt pages numbers key odg ics vcf eml msg url webloc lnk
	7z rar tar gz tgz bz2 xz zst dmg iso img bin exe msi pkg app deb rpm apk
	js css ts tsx jsx py rb php go c h cpp hpp java sh bat ps1 mo po map woff woff2 ttf otf
	icloud bak old orig tmp temp part crdownload download partial swp swo ds_store db-wal db-shm db-journal sqlite-wal sqlite-shm sqlite-journal pid
	dump rdb par2 sfv md5 sha1 sha256 mhl ascmhl crc torrent sig asc pem crt p12 gpg
	plist dat info nfo meta thumb preview proxy mask rev ver
`)

func kinds(table map[string]Kind) map[string]Kind {
	m := map[string]Kind{}
	for extensions, k := range table {
		for e := range strings.FieldsSeq(extensions) {
			m[e] = k
		}
	}
	return m
}

func words(text string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		m[w] = true
	}
	return m
}
