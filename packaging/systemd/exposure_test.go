package systemd_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"testing"
)

const (
	hides    = "would give the service a mount namespace of its own, and the mounted view would be hidden from the machine"
	restores = "restores set owners, modes and capabilities of files"
	network  = "commands of the configuration reach databases, notify commands reach the network, and metrics are served on the loopback; to be closed in a drop-in where none is used"
)

// open is every point that systemd-analyze finds open in keepsake.service, and
// why it is. Names are those of its JSON.
var open = map[string]string{
	"RootDirectoryOrRootImage":            hides,
	"PrivateDevices":                      hides + "; DevicePolicy=closed leaves /dev/fuse only",
	"PrivateMounts":                       hides,
	"PrivateTmp":                          hides,
	"PrivateUsers":                        hides + "; and owners of files would not be seen",
	"ProtectSystem":                       hides,
	"ProtectHome":                         hides + "; and sources lie there",
	"ProtectControlGroups":                hides,
	"ProtectKernelLogs":                   hides + "; without CAP_SYSLOG and the device nothing is read",
	"ProtectKernelModules":                hides + "; without CAP_SYS_MODULE none is loaded",
	"ProtectKernelTunables":               hides,
	"ProtectProc":                         hides,
	"ProcSubset":                          hides + "; and mounts and pressure are read in /proc",
	"UserOrDynamicUser":                   "reading everybody's files and mounting take rights; those it has are bounded by CapabilityBoundingSet",
	"CapabilityBoundingSet_CAP_SYS_ADMIN": "mounts the view",
	"CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER": "reads everybody's files, and " + restores,
	"CapabilityBoundingSet_CAP_CHOWN_FSETID_SETFCAP": restores,
	"CapabilityBoundingSet_CAP_SET_UID_GID_PCAP":     "dumps run as the database's user (runuser)",
	"CapabilityBoundingSet_CAP_KILL":                 "a dump that hangs is ended, though it runs as another user",
	"RestrictSUIDSGID":                               "restores set the setgid bit that shared directories have",
	"SystemCallFilter_resources":                     "priorities of our own threads",
	"SystemCallFilter_privileged":                    restores,
	"SystemCallFilter_mount":                         "mount and umount2 alone, for the view",
	"RestrictAddressFamilies_AF_UNIX":                "the control socket, the manager's socket, and databases",
	"RestrictAddressFamilies_AF_INET_INET6":          network,
	"PrivateNetwork":                                 network,
	"IPAddressDeny":                                  network,
	"DeviceAllow":                                    "/dev/fuse, and the clock to read, which ProtectClock adds",
}

// bounds hold the exposure that systemd 252 computes, so that it cannot creep
// up. Later versions look at a point more or less, which the margin is for.
const (
	systemBound  = 4.9
	noMountBound = 2.8
	margin       = 0.2
)

// point is one line of systemd-analyze security --json.
type point struct {
	Set      *bool  `json:"set"`
	Field    string `json:"json_field"`
	Text     string `json:"description"`
	Exposure string `json:"exposure"`
}

func TestExposure(t *testing.T) {
	noMount, err := os.ReadFile("no-mount.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := units(t, "/bin/sh", "/etc/keepsake/keepsake.toml")["system"]
	with, points := exposure(t, text, "")
	for _, p := range points {
		reason, ok := open[p.Field]
		switch {
		case p.Exposure == "":
		case !ok:
			t.Errorf("%s is open (%s: %s) and has no reason", p.Field, p.Exposure, p.Text)
		default:
			t.Logf("%s %s: %s", p.Exposure, p.Field, reason)
		}
	}
	without, _ := exposure(t, text, string(noMount))
	bare, _ := exposure(t, "[Service]\nExecStart=/bin/sh\n", "")
	t.Logf("exposure %.1f; with no-mount.conf %.1f; of a service without hardening %.1f", with, without, bare)
	if with > systemBound+margin {
		t.Errorf("the exposure is %.1f, above %.1f", with, systemBound)
	}
	if without > noMountBound+margin {
		t.Errorf("with no-mount.conf the exposure is %.1f, above %.1f", without, noMountBound)
	}
	if bare < 9 { // the control
		t.Errorf("a service without hardening has an exposure of %.1f only: this test measures nothing", bare)
	}
}

var overall = regexp.MustCompile(`Overall exposure level for [^:]*: ([0-9.]+)`)

func exposure(t *testing.T, text, dropIn string) (float64, []point) {
	t.Helper()
	out, err := analyze(t, text, dropIn, "security", "--offline=true", "--no-pager")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := overall.FindSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure in\n%s", out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	out, err = analyze(t, text, dropIn, "security", "--offline=true", "--no-pager", "--json=short")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var points []point
	if err := json.Unmarshal(out, &points); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return level, points
}
