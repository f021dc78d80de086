// Package durable changes a file system so that a power cut leaves either the
// old state or the new one, and is the seam where tests inject faults.
//
// # The sequence
//
// Create under a temporary name, write, fsync the file, rename to the final
// name, fsync the directory. A file is durable when the last step has
// succeeded, and only then. Between any two steps a kill leaves at worst a
// temporary file; a final name never shows a part of a file.
//
// # Vocabulary
//
// A [Disk] is the set of operations; its hook sees each one before it happens.
// A [File] is one open file. A File is sealed once one of its writes or its
// fsync has failed.
//
// # Invariants
//
//   - A File stays open from its creation to its fsync, because the kernel
//     reports a failed write-back to the descriptors that were open then.
//   - After a failed fsync Linux marks the pages clean, so that a second fsync
//     reports a success that never happened. A sealed File therefore refuses
//     everything; the caller writes the bytes again, to a new file under a new
//     name.
//   - Rename never replaces. Only ReplaceFile does, for configuration files.
//   - Symbolic links are not followed in the last component of a path, and
//     only regular files are opened, so that a planted FIFO cannot hang a
//     reader.
//
// # Refusals
//
// The package has no policy: it does not choose places or names, does not
// retry, and removes nothing it was not told to remove, except its own
// temporary file after a failure.
package durable
