// Package control is how every invocation of the command line talks to the process that owns a state directory.
//
// One process owns the state (the databases' lock says so). Whoever it is, the daemon or a one-shot backup, serves
// the unix socket control.sock inside that directory for as long as it owns it. Every other invocation sends its
// verb and arguments there and hands its user exactly the bytes of standard output and standard error, the progress
// events and the exit code that it would have produced itself. A [Handler] therefore never knows whether it runs for
// its own terminal or for somebody else's: it gets a [Request], a [Stream] and a context in both cases.
//
// # Vocabulary
//
//	owner     the process that holds the state directory and serves the socket
//	client    any other invocation
//	verb      what the client wants done: "snapshots", "key list"
//	frame     one line of the answer: some bytes of one output, a progress event, or the exit code
//	protocol  the number of the language both speak; it changes when a frame, a request or the meaning of any
//	          verb's arguments changes
//	door      one socket that an owner answers at: the state directory's, the public one, the loopback's
//	member    a peer of the group that ServerOptions names: it may run a few verbs
//	peer      the credentials that the kernel attests for the other end of a connection (SO_PEERCRED)
//	grace     how long running requests may go on after the owner was told to stop
//	farewell  how long cancelled requests may still speak to their clients before the connections are closed
//	patience  how long an interrupted client still listens to what its cancelled request has to say
//
// # The wire
//
// HTTP/1.1, one request per connection.
//
//	GET  /v1/info   → 200 application/json, an [Info]
//	POST /v1/verb   a [Request] as JSON of at most 1 MiB → 200 application/x-ndjson, frames
//	GET  /metrics   → 200, what ServerOptions.Metrics writes (Prometheus' text), for curl --unix-socket and scrapers
//	otherwise       4xx or 5xx, {"code":"…","error":"text","protocol":2,"version":"…","pid":1}
//
// The information and the error form are frozen for all protocols, so that programs of different versions can
// always tell each other that they do not match. Frames have exactly four forms, each at most 128 KiB long with its
// newline, without a superfluous byte (a reader that renders a frame again gets the same line):
//
//	{"stdout":"<standard base64, padded, at least one byte>"}
//	{"stderr":"<likewise>"}
//	{"progress":<compact JSON>}
//	{"exit":<0…255>}
//
// Base64 because output is bytes, not text: file names need not be UTF-8, and dump writes photos. Requests carry
// paths as bytes for the same reason. The exit frame is the last; an answer without one has not succeeded, whatever
// it contains. The header of the answer leaves before the handler starts: a client that saw no header knows that
// nothing was run.
//
// # Invariants
//
//  1. Frames arrive in the order in which the handler wrote them, across both outputs and progress. They leave as
//     they come: nothing waits for a buffer to fill or for a timer.
//  2. A client that goes away, by closing, by being killed, or by closing its sending half (which is how Do says
//     "interrupted"), ends the handler's context at once, also while the handler writes nothing. A client that has
//     only closed its sending half still receives everything up to the exit code. (A program that sends more than
//     its request before it goes away is noticed at the handler's next write; Do never does that.)
//  3. When Serve's own context ends: the socket disappears and nothing more is accepted; requests run on for the
//     grace; then their contexts end with the cause [ErrStopping]; after the farewell connections are closed, which
//     fails any write that is stuck. Serve returns when every handler has returned, never before, so that the caller
//     may close what handlers use. Handlers must therefore obey their contexts.
//  4. A handler that panics costs its client an "internal error: …" line and exit code 2, and the owner a log record.
//  5. A socket appears with its final mode (0600; the public one 0660 of its group) and already listening: it is bound
//     under another name and renamed. So a socket that refuses connections belongs to a dead process, and only such a
//     one is ever removed. Claims are serialised by a flock on the directory. What is not a socket is never touched.
//  6. Memory: per request at most 1 MiB of request and two buffers of 256 KiB for its answer; at most [MaxRunning]
//     requests at a time, of them [MaxMembers] for members, so that no member locks the owner out; at the public
//     socket and the loopback a bounded number of connections. A client that does not read holds up its own handler,
//     as a full pipe would.
//
// # Who may ask what
//
// The kernel says who is asking when the connection is made, and one function decides (accessOf), whatever the
// socket's mode has become:
//
//	root, the owner's effective user                 every verb, the information, the metrics
//	members of the group, by primary group           status, snapshots, backup-now, ack; the information, the metrics
//	(SO_PEERCRED) or a supplementary (SO_PEERGROUPS)
//	everybody else                                   nothing
//	whoever reaches the loopback address             the metrics, by TCP; that socket knows no other path
//
// The group cannot enter the state directory, which is 0700; so the same server also answers at a public socket
// (ServerOptions.Public) in a directory that only root or the owner can write to. A member's arguments are as
// untrusted as anybody's, and more: a handler of one of these verbs must not open a path, run a command or show
// content because an argument says so. It finds in Request.Peer whom to record.
//
// A public socket or a loopback address that cannot be had (a second daemon holds it, the port is taken) is logged and
// told by Problems; the owner goes on without.
//
// # Refusals
//
// Clients refuse a socket served by anyone but root, themselves or the directory's owner. Requests with unknown
// fields, malformed verbs, or another protocol are refused before anything runs. Addresses for metrics must be on the
// loopback, and requests there must name it as their host, since a page in a browser can point its own name to it.
// Arguments may hold secrets; nothing of a request but its verb is logged.
//
// Not here: what verbs mean, terminals, environment, waiting for the state's lock. Standard input is not carried.
//
// # Finding the owner
//
// A command line calls [Dial] first, or [DialSocket] if it may not look into the state directory. On ErrNoOwner it tries to lock the state itself, and calls Listen when it has;
// if somebody else was quicker, or an owner that is stopping still holds the lock, it begins again until its patience
// ends. Only ErrOwned from a process that wants to be the owner and nothing else ("daemon") is a second owner.
package control
