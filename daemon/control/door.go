package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxStrangers is how many connections the public socket and the address for metrics hold open at once: whoever may
// connect there could otherwise use up the owner's descriptors. Each lives for one request.
const maxStrangers = 64

// ownName is what a directory made for keepsake is called.
const ownName = "keepsake"

// door is one socket that a server answers at.
type door struct {
	name    string // path or address, for people
	ln      net.Listener
	http    *http.Server
	handler http.Handler
	limit   int32 // of connections; 0: none
	// Of sockets in the file system.
	dir  *directory
	file string
	own  unix.Stat_t // identity of the socket file
}

// private claims the socket of the state directory.
func (s *Server) private(ctx context.Context, dir string) (*door, error) {
	d, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	return s.claimed(ctx, d, file{name: SocketName, mode: privateSocket, gid: -1})
}

// public claims the socket for the group; nil if there is to be none.
func (s *Server) public(ctx context.Context) (*door, error) {
	if s.o.Public == "" {
		return nil, nil
	}
	f := file{name: filepath.Base(s.o.Public), mode: privateSocket, gid: -1}
	if s.o.Group != 0 {
		f.mode, f.gid = publicSocket, int(s.o.Group)
	}
	d, err := publicDirectory(filepath.Dir(s.o.Public), f.gid)
	if err != nil {
		return nil, fmt.Errorf("public socket: %w", err)
	}
	o, err := s.claimed(ctx, d, f)
	if err != nil {
		return nil, fmt.Errorf("public socket: %w", err)
	}
	o.limit = maxStrangers
	return o, nil
}

// claimed makes a door of a socket in d, which it closes if that fails.
func (s *Server) claimed(ctx context.Context, d *directory, f file) (*door, error) {
	ln, err := d.claim(ctx, f)
	if err != nil {
		d.close()
		return nil, err
	}
	path := filepath.Join(d.path, f.name)
	own, err := d.lstat(f.name)
	if err != nil {
		ln.Close()
		d.close()
		return nil, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return &door{name: path, ln: ln, handler: s.routes(), dir: d, file: f.name, own: own}, nil
}

// publicDirectory opens the directory of the public socket, which it makes if need be: 0750, for the group gid.
func publicDirectory(path string, gid int) (*directory, error) {
	err := os.Mkdir(path, 0o700)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	d, err := openDirectory(path)
	if err != nil {
		return nil, err
	}
	if (made || d.ours()) && gid >= 0 {
		// In this order: it is open to nobody else's group, not for a moment.
		if err := errors.Join(d.file.Chown(-1, gid), d.file.Chmod(0o750)); err != nil {
			d.close()
			return nil, err
		}
	}
	if err := d.safe(gid); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// ours reports whether a directory that nobody else can enter was made for us, as service managers make
// /run/keepsake. Any other directory is left as it is: its rights may protect what lies beside the socket.
func (d *directory) ours() bool {
	var st unix.Stat_t
	err := unix.Fstat(int(d.file.Fd()), &st)
	return err == nil && filepath.Base(d.path) == ownName && st.Uid == uint32(os.Geteuid()) && st.Mode&0o007 == 0
}

// safe refuses a directory where others could put a socket of their own in place of the public one, and one that the
// group cannot pass through.
func (d *directory) safe(gid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	switch {
	case st.Uid != 0 && st.Uid != uint32(os.Geteuid()):
		return fmt.Errorf("%s: %w: it belongs to user %d: chown it to the user that keepsake runs as", d.path, ErrRefused, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s: %w: others may write to it: chmod go-w %s", d.path, ErrRefused, d.path)
	case gid >= 0 && st.Mode&0o001 == 0 && (int(st.Gid) != gid || st.Mode&0o010 == 0):
		return fmt.Errorf("%s: %w: %s cannot pass through it: chgrp it to the group and chmod 750", d.path, ErrRefused, groupName(uint32(gid)))
	}
	return nil
}

// loopback opens the address for metrics, and nothing else, by TCP; nil if there is to be none.
func (s *Server) loopback(ctx context.Context) (*door, error) {
	if s.o.MetricsAddress == "" {
		return nil, nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.o.MetricsAddress)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w: choose another port, or end what uses it", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathMetrics, s.metrics)
	return &door{name: s.o.MetricsAddress, ln: ln, handler: loopbackOnly(mux), limit: maxStrangers}, nil
}

// CheckMetricsAddress refuses what is not an IP address of the loopback with a port: metrics name sources, which
// concern nobody on the network.
func CheckMetricsAddress(address string) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("metrics address %q: not an IP address with a port, such as 127.0.0.1:9273", address)
	}
	if !a.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("metrics address %q: not a loopback address: use 127.0.0.1 or [::1], and a proxy that asks for a password if others must read it", address)
	}
	return nil
}

// loopbackOnly refuses requests that name another host: a page in somebody's browser can make its own name point to
// this machine and read the answer.
func loopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		a, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !a.Unmap().IsLoopback()) {
			http.Error(w, "ask for 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// admit makes a door part of the server.
func (s *Server) admit(base context.Context, d *door) {
	d.http = &http.Server{
		Handler:           d.handler,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withCaller(s.o.Group),
		ConnState:         d.limited(),
		ReadHeaderTimeout: s.o.HeaderTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	// One request per connection: so a half-closed connection always means its one request.
	d.http.SetKeepAlivesEnabled(false)
	s.doors = append(s.doors, d)
}

// limited closes connections beyond the door's limit as they come.
func (d *door) limited() func(net.Conn, http.ConnState) {
	if d.limit == 0 {
		return nil
	}
	var open atomic.Int32
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > d.limit {
				c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}

// shut ends the taking of connections. The file goes first, while the socket still answers: so nobody can take it for
// a stale one and put another in its place that would then be removed.
func (d *door) shut() error {
	if d.dir != nil {
		d.dir.withdraw(d.file, d.own)
	}
	return d.ln.Close()
}

func (d *door) release() {
	if d.dir != nil {
		d.dir.close()
	}
}
