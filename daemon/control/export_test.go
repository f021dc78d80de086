package control

// What the external tests need to see of the codec and the decisions.

const (
	MaxFrame     = maxFrame
	MaxStrangers = maxStrangers
	MaxPayload   = maxPayload
	NewName      = SocketName + newSuffix
)

var (
	MarshalRequest = marshalRequest
	ParseRequest   = parseRequest
	Trusted        = trusted
)

// Allowed tells whether a peer with this uid and these groups, the primary one first, may run verb.
func Allowed(uid, euid, group uint32, groups []uint32, verb string) bool {
	return accessOf(Peer{UID: uid, GID: groups[0]}, euid, group, func() ([]uint32, error) { return groups[1:], nil }).allows(verb)
}

// ReparseFrame parses line and renders the result again.
func ReparseFrame(line []byte) (kind string, payload []byte, exit int, again []byte, err error) {
	f, err := parseFrame(line, make([]byte, maxPayload))
	if err != nil {
		return "", nil, 0, nil, err
	}
	switch f.kind {
	case frameStdout:
		return "stdout", f.payload, 0, appendOutput(nil, f.kind, f.payload), nil
	case frameStderr:
		return "stderr", f.payload, 0, appendOutput(nil, f.kind, f.payload), nil
	case frameProgress:
		return "progress", f.payload, 0, appendProgress(nil, f.payload), nil
	default:
		return "exit", nil, f.exit, appendExit(nil, f.exit), nil
	}
}
