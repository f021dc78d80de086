package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/supervise"
	"keepsake/packaging/systemd"
)

// units are both, made to run a program that exists.
func units(t *testing.T, program, config string) map[string]string {
	t.Helper()
	sys, err := systemd.System(program, config)
	if err != nil {
		t.Fatal(err)
	}
	user, err := systemd.User(program, config)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"system": sys, "user": user}
}

func TestShippedFileIsTheOneInstalled(t *testing.T) {
	shipped, err := os.ReadFile("keepsake.service")
	if err != nil {
		t.Fatal(err)
	}
	got, err := systemd.System("/usr/bin/keepsake", "/etc/keepsake/keepsake.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(shipped) {
		t.Error("the usual paths do not give the shipped file")
	}
}

// TestAwkwardPaths lets systemd read back what was quoted.
func TestAwkwardPaths(t *testing.T) {
	for _, name := range []string{"plain", "with blank", `quo"te`, "$HOME", "100%h", `back\slash`, "Bücher;x"} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), name, "keepsake")
			if strings.ContainsAny(name, `"\`) { // for arguments only
				program = filepath.Join(t.TempDir(), "keepsake")
			}
			install(t, program)
			for kind, text := range units(t, program, "/etc/"+name+".toml") {
				if out, err := verify(t, text); err != nil {
					t.Errorf("%s: %v\n%s", kind, err, out)
				}
			}
		})
	}
}

func TestRefusedPaths(t *testing.T) {
	for _, path := range []string{"keepsake", "", "/a\nExecStartPre=/bin/evil", "/a\x00b", "/\xff", `/a"b`, `/a\b`, `/a'b`} {
		if _, err := systemd.System(path, "/c"); err == nil {
			t.Errorf("program %q was accepted", path)
		}
		if strings.ContainsAny(path, `"'\`) {
			continue
		}
		if _, err := systemd.User("/p", path); err == nil {
			t.Errorf("configuration %q was accepted", path)
		}
	}
}

func TestVerify(t *testing.T) {
	program := filepath.Join(t.TempDir(), "keepsake")
	install(t, program)
	for kind, text := range units(t, program, "/etc/keepsake/keepsake.toml") {
		if out, err := verify(t, text); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
	// The controls: what is verified are these very lines.
	text := units(t, program, "/c")["system"]
	for _, broken := range []string{
		strings.Replace(text, "WatchdogSec=10min", "WatchdogSec=often", 1),
		strings.Replace(text, "LockPersonality=yes", "LockPersonalty=yes", 1),
		strings.Replace(text, program, program+".gone", 1),
	} {
		if out, err := verify(t, broken); err == nil && len(out) == 0 {
			t.Error("a broken unit passed")
		}
	}
}

// TestStopFits holds the unit to the daemon's promise: a clean stop is never
// cut short.
func TestStopFits(t *testing.T) {
	for kind, text := range units(t, "/p", "/c") {
		d, err := time.ParseDuration(setting(t, text, "TimeoutStopSec"))
		if err != nil || d < supervise.StopWithin+2*time.Second {
			t.Errorf("%s: TimeoutStopSec is %v (%v), and a clean stop may take %v", kind, d, err, supervise.StopWithin)
		}
	}
}

// TestView: the mounted view lies in the runtime directory, others may pass
// through it, and it is there still when a killed service comes back.
func TestView(t *testing.T) {
	text := units(t, "/p", "/c")["system"]
	for key, want := range map[string]string{
		"RuntimeDirectory": "keepsake", "RuntimeDirectoryMode": "0755", "RuntimeDirectoryPreserve": "restart", "DeviceAllow": "/dev/fuse rw",
	} {
		if got := setting(t, text, key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
}

// namespaced are the options that give a service a mount namespace of its own;
// the mounted view would be seen by nobody else. Found by running a service with
// each of them, and read in systemd's exec_needs_mount_namespace.
var namespaced = []string{
	"PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateUsers", "ProtectSystem", "ProtectHome", "ProtectKernelTunables",
	"ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadWritePaths", "ReadOnlyPaths",
	"InaccessiblePaths", "ExecPaths", "NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "MountFlags", "MountImages",
	"RootDirectory", "RootImage", "ExtensionImages", "LogNamespace", "DynamicUser", "PrivateNetwork", "NetworkNamespacePath",
}

func TestNothingHidesTheView(t *testing.T) {
	for kind, text := range units(t, "/p", "/c") {
		for _, key := range namespaced {
			if strings.Contains(text, "\n"+key+"=") {
				t.Errorf("%s: %s= would hide the mounted view", kind, key)
			}
		}
	}
	// fusermount3 gains privileges, which a person's service must not give up.
	for _, key := range []string{"NoNewPrivileges", "SystemCallFilter", "RestrictNamespaces", "LockPersonality", "RestrictRealtime"} {
		if strings.Contains(units(t, "/p", "/c")["user"], "\n"+key+"=") {
			t.Errorf("%s= keeps a person's service from mounting", key)
		}
	}
}

// setting returns the one value of a setting.
func setting(t *testing.T, text, key string) string {
	t.Helper()
	_, after, ok := strings.Cut(text, "\n"+key+"=")
	if !ok || strings.Contains(after, "\n"+key+"=") {
		t.Fatalf("%s= is not there, or twice", key)
	}
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// install puts something executable at a path.
func install(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// verify lets systemd look at a unit. It warns without failing, so that what it
// says counts.
func verify(t *testing.T, text string) ([]byte, error) {
	t.Helper()
	return analyze(t, text, "", "verify", "--man=no")
}

// analyze runs systemd-analyze on a unit with a drop-in.
func analyze(t *testing.T, text, dropIn string, args ...string) ([]byte, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("not run: there is no systemd-analyze")
	}
	path := filepath.Join(t.TempDir(), systemd.Name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if dropIn != "" {
		if err := os.Mkdir(path+".d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path+".d", "drop-in.conf"), []byte(dropIn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), tool, append(args, path)...).CombinedOutput()
	return out, err
}
