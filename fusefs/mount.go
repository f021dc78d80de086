package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/fusefs/mountpoint"
)

// Options says what to mount where. Repository and Dir are required.
type Options struct {
	// Repository is what is shown. It stays open until the view is unmounted.
	Repository repository
	// Dir is the mount point. It is made if it is missing, and then removed
	// again when the view is unmounted.
	Dir string
	// AllowOther lets other users in, as far as the permissions of the captured
	// files go. For ordinary users it takes user_allow_other in /etc/fuse.conf.
	AllowOther bool
	// NoExec forbids running programs from the view.
	NoExec bool
	// Prefetch is how many bytes sequential readers together may be ahead; 0
	// means 16 MiB. It should be well below the store's cache.
	Prefetch int64
	// Nodes is how many nodes are kept alive for the kernel before it is asked
	// to forget some; 0 means 20,000. Each takes under 1 KiB of memory.
	Nodes int
	// ReadAhead, if it is not 0, is how many bytes the kernel reads ahead of a
	// sequential reader; its own choice is 128 KiB. More is faster, and makes
	// small reads of mapped files dearer. Only root can set it.
	ReadAhead int
	// Patience bounds the time of every operation; 0 means 25 s.
	Patience time.Duration
	// Log is told of damage and of what else an operator must know; nil means
	// nothing.
	Log *slog.Logger
	// Now is the clock; nil means the real one.
	Now func() time.Time
}

const defaultPatience = 25 * time.Second

func (o Options) withDefaults() Options {
	if o.Prefetch == 0 {
		o.Prefetch = defaultAhead
	}
	if o.Nodes == 0 {
		o.Nodes = defaultNodes
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Mounted is a view that is mounted.
type Mounted struct {
	dir    string // as the kernel names it
	made   bool   // the directory is ours to remove
	v      *view
	root   *list
	server *fuse.Server
	minor  uint32        // of the device that the view is
	gone   chan struct{} // closed when the kernel has let go of the view
	once   sync.Once     // closes gone

	unmounting sync.Mutex
}

// Mount shows the repository at o.Dir. It heals the mount point first, as
// mountpoint.Heal does. ctx bounds the mounting alone; the view lasts until Unmount, or until
// somebody else unmounts it.
func Mount(ctx context.Context, o Options) (*Mounted, error) {
	o = o.withDefaults()
	return newView(ctx, o).mount(ctx, o)
}

// mount mounts the view, or ends it.
func (v *view) mount(ctx context.Context, o Options) (*Mounted, error) {
	m, err := v.tryMount(ctx, o)
	if err != nil {
		v.end()
		return nil, err
	}
	return m, nil
}

func (v *view) tryMount(ctx context.Context, o Options) (*Mounted, error) {
	if err := mountpoint.Available(o.AllowOther); err != nil {
		return nil, err
	}
	healed, err := mountpoint.Heal(o.Dir)
	if err != nil {
		return nil, err
	}
	if healed {
		o.Log.Info("took away the mount that a killed process had left", "dir", o.Dir)
	}
	first, err := v.readCatalogue(ctx)
	if err != nil {
		return nil, fmt.Errorf("mounting: %w", err)
	}
	v.lists.now, v.lists.told, v.lists.read = first, first, v.now()

	made, err := makeDir(o.Dir, o.AllowOther)
	if err != nil {
		return nil, fmt.Errorf("mounting: %w", err)
	}
	m := &Mounted{made: made, v: v, root: v.list(listID{kind: listRoot}), gone: make(chan struct{})}
	if m.dir, err = mountpoint.Resolve(o.Dir); err == nil {
		err = m.serve(o)
	}
	if err != nil {
		m.removeDir()
		return nil, fmt.Errorf("mounting at %s: %w", o.Dir, err)
	}
	return m, nil
}

func newView(ctx context.Context, o Options) *view {
	v := &view{
		repo: o.Repository, log: o.Log, now: o.Now, hash: realHash, table: newTable(), runs: newRuns(), pasts: newPasts(),
		ahead: &ahead{limit: o.Prefetch}, born: o.Now(), patience: o.Patience, acls: true,
		uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()),
	}
	v.trimmer.limit = o.Nodes
	v.life, v.end = context.WithCancel(context.WithoutCancel(ctx))
	return v
}

// serve mounts and starts answering.
func (m *Mounted) serve(o Options) error {
	negative := forever
	options := &fs.Options{
		NegativeTimeout: &negative,
		NullPermissions: true,
		RootStableAttr:  &fs.StableAttr{Ino: rootIno, Gen: 1},
		Logger:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	raw := fuse.RawFileSystem(missing{fs.NewNodeFS(m.root, options)})
	if m.v.over != nil {
		raw = m.v.over(raw)
	}
	server, err := attach(raw, m.dir, m.v.acls, o, m.v.panicked)
	if err != nil {
		return err
	}
	m.server = server
	if settings := server.KernelSettings(); settings.Flags64()&fuse.CAP_POSIX_ACL == 0 {
		m.v.acls = false // nothing was looked up yet
	}
	go func() {
		server.Serve()
		m.letGo()
	}()
	if err := server.WaitMount(); err != nil {
		return errors.Join(err, mountpoint.Detach(m.dir, mountpoint.ByForce))
	}
	// Without the table of mounts the view works all the same.
	if at, ok, err := mountpoint.At(m.dir); err == nil && ok {
		m.minor = at.Minor
		setReadAhead(at.Minor, o)
	}
	return nil
}

// setReadAhead tells the kernel how far to read ahead in the mount of that device.
func setReadAhead(minor uint32, o Options) {
	if o.ReadAhead == 0 {
		return
	}
	name := fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", minor)
	if err := os.WriteFile(name, fmt.Appendf(nil, "%d", o.ReadAhead>>10), 0); err != nil {
		o.Log.Warn("the kernel's read-ahead stays as it is", "error", err)
	}
}

const (
	// kernelReadAhead is how far the kernel reads ahead by its own choice.
	kernelReadAhead = 128 << 10
	// maxRequests is how many requests are worked on at the same time.
	maxRequests = 32
	requestCost = 16 << 10 // of each, besides its data
)

// attach mounts: root by itself, anybody else, or root where that is not
// allowed, by fusermount.
func attach(raw fuse.RawFileSystem, dir string, acls bool, o Options, panicked func(any) fuse.Status) (*fuse.Server, error) {
	// go-fuse reads every request into a buffer of this size, which the collector
	// takes away again and again: no larger than what the kernel asks for.
	request := min(max(o.ReadAhead, kernelReadAhead), 1<<20)
	mount := fuse.MountOptions{
		AllowOther:               o.AllowOther,
		FsName:                   mountpoint.Name,
		Name:                     mountpoint.Name,
		Options:                  []string{"default_permissions"},
		MaxBackground:            64,
		MaxWrite:                 request, // bounds reads as well
		MaxInflightRequestBytes:  maxRequests * (request + requestCost),
		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true,
		EnableAcl:                acls,
		DisableSplice:            true,
		PanicHandler:             panicked,
		Logger:                   slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	flags := uintptr(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV)
	if o.NoExec {
		flags |= unix.MS_NOEXEC
	}
	var direct error
	if os.Geteuid() == 0 {
		m := mount
		m.DirectMountStrict, m.DirectMountFlags = true, flags
		server, err := fuse.NewServer(raw, dir, &m)
		if err == nil {
			return server, nil
		}
		direct = err
	}
	if _, err := mountpoint.Helper(); err != nil {
		if direct == nil || errors.Is(direct, unix.ENODEV) || errors.Is(direct, unix.ENXIO) {
			return nil, err
		}
		return nil, direct
	}
	mount.Options = append(mount.Options, "ro", "nosuid", "nodev")
	if o.NoExec {
		mount.Options = append(mount.Options, "noexec")
	}
	server, err := fuse.NewServer(raw, dir, &mount)
	if err != nil {
		// It has said on standard error why, and ends its error with a newline.
		err = errors.New(strings.TrimSpace(err.Error()))
		if direct == nil && o.AllowOther {
			err = fmt.Errorf("%w (only root may let other users in, unless /etc/fuse.conf says user_allow_other)", err)
		}
		return nil, errors.Join(direct, err)
	}
	return server, nil
}

// makeDir makes the mount point, with what is missing above it, and reports
// whether it was missing. A view that others may enter is reached by others,
// whatever the umask of a service is.
func makeDir(dir string, forOthers bool) (made bool, err error) {
	const mode = 0o755
	err = os.Mkdir(dir, mode)
	if errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
		if _, err := makeDir(filepath.Dir(dir), forOthers); err != nil {
			return false, err
		}
		err = os.Mkdir(dir, mode)
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return false, nil
	case err == nil && forOthers:
		err = os.Chmod(dir, mode)
	}
	return err == nil, err
}

func (m *Mounted) removeDir() {
	if m.made {
		// Somebody may have put something there meanwhile; then it stays.
		_ = os.Remove(m.dir)
	}
}

// Wait returns when the view is no longer mounted, whoever unmounted it.
func (m *Mounted) Wait() { <-m.gone }

// Refresh shows what the repository holds now, at once: names that the kernel
// may have kept are taken from it. It returns when that is done.
func (m *Mounted) Refresh() {
	l := &m.v.lists
	l.refresh.Lock()
	defer l.refresh.Unlock()
	is := m.v.reload()
	for _, c := range changes(l.told, is) {
		if node := m.v.table.find(m.v.list(c.list).no); node != nil {
			// An error means that the kernel knew nothing of it.
			_ = node.EmbeddedInode().NotifyEntry(c.name)
		}
	}
	l.told = is
}
