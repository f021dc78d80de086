package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"keepsake/daemon/config"
	"keepsake/daemon/control"
)

// publicSocket is where the service listens for root and for the members of its
// group.
const publicSocket = "/run/keepsake/control.sock"

// socket is where the members of a group reach a keepsake whose state they may
// not look into, and whether somebody said so.
func (e *environment) socket() (path string, said bool) {
	if path := e.get("KEEPSAKE_SOCKET"); path != "" {
		return e.abs(path), true
	}
	return publicSocket, false
}

// closedError says that the repository or the state is there and may not be
// opened by this user. Nothing has been done.
type closedError struct{ err error }

func (e *closedError) Error() string { return e.err.Error() }
func (e *closedError) Unwrap() error { return e.err }

// closed marks errors for lack of permission.
func closed(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, control.ErrRefused) {
		return &closedError{err}
	}
	return err
}

// refusedError is a refusal, or silence, with what the user can do about it.
type refusedError struct {
	err  error
	next string
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// public has the service carry req out, which cannot be done in this process
// because of why; nil if it was told to ask there.
func (a *app) public(ctx context.Context, req control.Request, why error) error {
	path, _ := a.env.socket()
	code, err := a.askAt(ctx, path, req)
	switch {
	case err == nil:
		return a.exit(code)
	case why == nil && errors.Is(err, control.ErrNoOwner):
		return &refusedError{fmt.Errorf("nobody listens at %s: %w", path, err), "Start keepsake (systemctl start keepsake), or unset KEEPSAKE_SOCKET."}
	case why != nil && (errors.Is(err, control.ErrNoOwner) || !errors.As(why, new(*closedError))):
		return why // nobody is there, or the service's repository is not what was meant
	case errors.Is(err, fs.ErrPermission):
		return &refusedError{err, a.joinGroup(path)}
	case errors.Is(err, control.ErrRefused):
		return &refusedError{err, "Run this with sudo, or as the user that the running keepsake has."}
	}
	return err
}

// membersOnly adds to err, because of which a verb cannot be carried out in this
// process, what members of the group may ask of the service, if this user is one.
func (a *app) membersOnly(ctx context.Context, verb string, err error) error {
	path, _ := a.env.socket()
	c, dialled := control.DialSocket(ctx, path, control.ClientOptions{Version: version})
	if dialled != nil {
		return err
	}
	info, heard := c.Info(ctx)
	if heard != nil || a.namedRepository() && config.Resolve(info.Repository) != config.Resolve(a.repositoryDir()) {
		return err
	}
	return &refusedError{
		fmt.Errorf("%w; through the running keepsake members of its group may run %s, not %s", err, strings.Join(control.GroupVerbs(), ", "), verb),
		"Run this with sudo, or as the user who owns the repository.",
	}
}

// keptAt reports whether the keepsake that listens at path keeps this very
// repository and would carry verb out. A service has its state elsewhere than
// people have theirs; without asking, root would begin a second one beside it.
func (a *app) keptAt(ctx context.Context, path, verb string) bool {
	if os.Geteuid() != 0 && !control.ForGroup(verb) {
		return false
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	c, err := control.DialSocket(ctx, path, control.ClientOptions{Version: version})
	if err != nil {
		return false // whoever it is, this process does without; what is wrong shows then
	}
	info, err := c.Info(ctx)
	return err == nil && config.Resolve(info.Repository) == config.Resolve(a.repositoryDir())
}

func (a *app) askAt(ctx context.Context, path string, req control.Request) (int, error) {
	c, err := control.DialSocket(ctx, path, control.ClientOptions{Version: version})
	if err != nil {
		return 0, err
	}
	return c.Do(ctx, req, a.stream())
}

// joinGroup says how this user comes to be heard at a socket.
func (a *app) joinGroup(path string) string {
	const sudo = "run this with sudo"
	info, err := os.Stat(path)
	if err != nil {
		// Its directory is closed; the directory's group is the socket's.
		info, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return "To be heard, " + sudo + "."
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Gid == 0 {
		return "To be heard, " + sudo + "."
	}
	group := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	who := a.env.user
	if who == "" {
		who = "YOU"
	}
	return fmt.Sprintf("To be heard, join the group (sudo usermod -aG %s %s, then log in again), or %s.", group, who, sudo)
}

// doors says where a keepsake that stays, up or the service, can be asked beside
// its state directory.
func (a *app) doors(verb string, o *control.ServerOptions) error {
	if !keeps(verb) {
		return nil
	}
	o.MetricsAddress = a.config.Metrics
	path, said := a.env.socket()
	// Without a group the service's is for root alone, who finds it there.
	if said || verb == "daemon" && os.Geteuid() == 0 {
		o.Public = path
	}
	if a.config.Group == "" {
		return nil
	}
	gid, err := groupID(a.config.Group)
	if err != nil {
		return err
	}
	o.Group, o.Public = gid, path
	return nil
}

// groupID is the number of a group that is given by name or number.
func groupID(group string) (uint32, error) {
	text := group
	if g, err := user.LookupGroup(group); err == nil {
		text = g.Gid
	}
	gid, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("group = %q: there is no such group; create it with: groupadd --system %s", group, group)
	}
	if gid == 0 {
		return 0, fmt.Errorf("group = %q: root's group is not for others; choose another", group)
	}
	return uint32(gid), nil
}
