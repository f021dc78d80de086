// Package logs is what the daemon's log passes through on its way to standard
// error: a handler for log/slog that keeps secrets out, speaks to the journal,
// and says the same thing a few times only.
//
// It is a room of its own and not a file of the command line because what it
// promises is a property of the daemon: the test that runs a day of the daemon
// counts its lines through this handler, and a web or mail front would log
// through it as well. It imports nothing and reads no environment; whoever makes
// it says where standard error goes.
//
// # Vocabulary
//
//	cause     what makes two records the same complaint: level, message, the
//	          attributes bound with With, and of the record's own attributes those
//	          that say where (source, root, part, destination, verb); a path or an
//	          error differs each time and is not part of it
//	window    the time over which records of one cause are counted
//	burst     how many of them pass per window
//	summary   the line that says afterwards how many did not
//
// # Invariants
//
//   - At most (Causes + 1) × (Burst + 1) lines leave per window, whatever
//     happens. Nothing is dropped in silence: a summary follows when the window
//     ends, and at the end of Run.
//   - Memory is bounded by Causes; causes beyond it share one budget.
//   - A line is bounded: messages and values are cut at 8 KiB, and have no
//     newline in them.
//   - Attributes whose name ends with password, passphrase, secret, key, code or
//     token are not shown, nor what lies in a group of such a name. No one should
//     log them; this holds where somebody did.
//   - Values of types that have no text form of their own are not shown either: a
//     struct of options printed whole shows fields nobody thought of.
//   - The names of clients' files (attributes path, file, name) are shown in
//     warnings and errors, where somebody must act on them, and to those who
//     debug; not in what merely informs. A cause's summary names none.
//
// # The journal
//
// Lines begin with a priority (<4>, sd-daemon(3)) so that journalctl -p works, and
// carry no time, since the journal has it.
package logs
