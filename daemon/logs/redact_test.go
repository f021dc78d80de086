package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/logs"
)

// planted is what must not be seen.
const planted = "7QXM-PL2A"

type options struct{ Repository, Password string }

type named struct{ s string }

func (n named) String() string { return "called " + n.s }

type valuer struct{ name string }

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String(v.name, planted), slog.Int("n", 1))
}

type broken struct{ s *string }

func (b *broken) Error() string { return *b.s }

func TestSecretsStayOut(t *testing.T) {
	attrs := []slog.Attr{
		slog.String("password", planted),
		slog.String("Password", planted),
		slog.String("recovery_code", planted),
		slog.String("recoveryCode", planted),
		slog.String("api-token", planted),
		slog.String("key", planted),
		slog.String("key2key", planted),
		slog.Any("secret", errors.New(planted)),
		slog.Group("slot", "secret", planted),
		slog.Group("secret", "a", planted),
		slog.Group("a", slog.Group("token", slog.Group("b", "c", planted))),
		slog.Any("who", valuer{"passphrase"}),
		slog.Any("options", options{"/volume2", planted}),
		slog.Any("options", &options{"/volume2", planted}),
		slog.Any("options", map[string]string{"password": planted}),
		slog.Any("options", []options{{"/volume2", planted}}),
		slog.Any("bytes", []byte(planted)),
		slog.Any("bytes", [9]byte([]byte(planted))),
	}
	for _, asJSON := range []bool{false, true} {
		for _, a := range attrs {
			var b bytes.Buffer
			log := slog.New(logs.New(logs.Options{Writer: &b, JSON: asJSON}))
			log.LogAttrs(t.Context(), slog.LevelError, "opened", a)
			log.With(a).Error("opened")
			log.WithGroup("g").With(a).Error("opened")
			log.WithGroup("g").LogAttrs(t.Context(), slog.LevelError, "opened", a)
			if strings.Contains(b.String(), planted) || strings.Count(b.String(), "\n") != 4 {
				t.Errorf("%v: %s", a, &b)
			}
		}
	}
}

// TestTheRestIsShown is the control: redaction that hid everything would pass.
func TestTheRestIsShown(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(logs.New(logs.Options{Writer: &b, Journal: true}))
	log.Warn("a\nb", "key_file", "/etc/keepsake/key", "monkey", 1, "encode", true, "took", 90*time.Second,
		"error", errors.New("no such file"), "who", named{"me"}, "dirs", []string{"a", "b"}, "nil", nil,
		"broken", (*broken)(nil), "group", slog.GroupValue(slog.String("path", "IMG 1.CR3")))
	want := `<4>level=WARN msg="a\nb" key_file=/etc/keepsake/key monkey=1 encode=true took=1m30s error="no such file" ` +
		`who="called me" dirs="[a b]" nil=<nil> broken="(no text: it panicked)" group.path="IMG 1.CR3"` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", &b, want)
	}
}

// TestClientNames: they are shown where somebody must act.
func TestClientNames(t *testing.T) {
	tests := []struct {
		level, least slog.Level
		shown        bool
	}{
		{slog.LevelInfo, slog.LevelInfo, false},
		{slog.LevelWarn, slog.LevelInfo, true},
		{slog.LevelError, slog.LevelInfo, true},
		{slog.LevelInfo, slog.LevelDebug, true},
		{slog.LevelDebug, slog.LevelDebug, true},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		log := slog.New(logs.New(logs.Options{Writer: &b, Level: tt.least}))
		log.Log(t.Context(), tt.level, "stored", "path", "Weber/IMG.CR3", "dir", "/volume1")
		if got := b.String(); strings.Contains(got, "Weber") != tt.shown || !strings.Contains(got, "dir=/volume1") {
			t.Errorf("%v of %v: %s", tt.level, tt.least, got)
		}
	}
}

func TestLongLines(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(logs.New(logs.Options{Writer: &b}))
	long := strings.Repeat("ä", 1<<20)
	log.Error(long, "error", errors.New(long), "text", long)
	if b.Len() > 32<<10 || strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), "(2097152 bytes)") {
		t.Errorf("%d bytes", b.Len())
	}
}

func TestPriorities(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "<7>", slog.LevelInfo: "<6>", slog.LevelWarn: "<4>", slog.LevelError: "<3>", slog.LevelError + 4: "<2>",
	} {
		for _, asJSON := range []bool{false, true} {
			var b bytes.Buffer
			log := slog.New(logs.New(logs.Options{Writer: &b, Journal: true, JSON: asJSON, Level: slog.LevelDebug}))
			log.Log(t.Context(), level, "x")
			if !strings.HasPrefix(b.String(), want) || strings.Count(b.String(), "\n") != 1 {
				t.Errorf("%v: %s", level, &b)
			}
		}
	}
}

// TestJournal: the stream is recognised by what it is, not by its presence.
func TestJournal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(w.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	stream := func(inode uint64) string {
		return strings.Join([]string{fmt.Sprint(st.Dev), fmt.Sprint(inode)}, ":")
	}
	tests := []struct {
		stream string
		file   *os.File
		want   bool
	}{
		{stream(st.Ino), w, true},
		{stream(st.Ino + 1), w, false},
		{"", w, false},
		{"journal", w, false},
		{stream(st.Ino), nil, false},
	}
	for _, tt := range tests {
		if got := logs.Journal(tt.stream, tt.file); got != tt.want {
			t.Errorf("%q: %v", tt.stream, got)
		}
	}
}
