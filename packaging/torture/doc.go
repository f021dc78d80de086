// Package torture builds a directory tree of everything that is hard to back up, and compares two trees.
// Tests back the tree up, restore or mount it, and ask Compare what was lost.
//
// Vocabulary: an entry is one name in the tree; an omission is something that this machine, its file system or the
// caller's rights did not allow to be made, with the reason.
//
// Invariants:
//   - Two trees built with the same Options on the same file system are equal to Compare: contents come from the
//     entries' names, and every entry has a fixed modification time.
//   - What Build could not make is returned as an omission; nothing is left out in silence.
//   - Compare reads every byte of both trees, holes included, and never opens a FIFO, a socket or a device.
//
// It runs on Linux. It refuses a directory that already holds something.
package torture
