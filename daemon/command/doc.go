// Package command runs one program of the operator's and says how it ended: dumps whose output is kept, commands
// before and after a run, the command that tells somebody.
//
// # Vocabulary
//
//	program   the file that is run: the first of the arguments, an absolute path or a bare name
//	group     the program's own session and process group, with all that it started and did not move elsewhere
//	grace     how long a group may take to end after it was asked to, before it is killed
//	tail      the end of what the program said on its standard error, bounded and printable
//	held      something that the program left behind keeps its output open
//
// # Invariants
//
//   - No shell: arguments reach the program as they are. A bare name is looked for in the command's own PATH, never
//     in the daemon's; a path with a slash must be absolute.
//   - The environment is PATH, HOME, LANG and what was given, nothing else. What the daemon itself was given, secrets
//     among it, is not inherited, and a KEEPSAKE_PASSWORD… is refused even if given. The directory is / unless given.
//   - When Run returns, the program has ended and been reaped, its group is killed, every descriptor is closed and
//     every goroutine joined. The one exception is a program that not even SIGKILL ends (a dead network mount): after
//     a further grace Run gives up with ErrStuck, and it is reaped when the kernel lets go of it.
//   - Output beyond the bound is an error, and so is output that was not read to its end: no error means all of it.
//   - Memory: one buffer of 64 KiB per run and the tail.
//   - Errors name the program by its base name, and say nothing of its other arguments, which may hold secrets.
//
// # Refusals
//
// A program runs in the foreground: what it leaves in its group is killed when it has ended. Who means to start a
// service leaves the session (setsid, systemd-run). What moves to a session of its own escapes the kill; there are no
// control groups here, the unit's does that. The group is killed while its leader is not yet reaped, so that no other
// process can have got its number.
package command
