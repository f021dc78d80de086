// Package backend is where a repository's objects lie. Today that is a local
// directory; object stores and SFTP will stand behind the same methods, and
// package backendtest holds them to the contract below.
//
// # Vocabulary
//
// An object is an immutable sequence of bytes under a name. A name is a slash
// path such as "data/ab/abcd…", "snapshots/…" or "config"; [CheckName] says
// which are allowed. A staged object has no name yet that anyone sees. To
// publish is to make staged objects visible and durable. An owner is the
// writer on whose behalf objects are staged.
//
// # The storage contract
//
//   - A name shows a whole object or nothing, at every moment and after any
//     kill or power cut. What is visible has been synced.
//   - When Publish returns nil, its objects survive a power cut. When it
//     returns an error some of its objects may be visible, each of them whole,
//     none of them acknowledged: the caller writes the data again under new
//     names. Nothing that failed to sync is ever synced again.
//   - An object that a list shows may still be lost in a power cut, if its
//     writer was killed before Publish returned. Who is going to rely on
//     objects that it has not published calls SyncNames first.
//   - Objects never change. An existing name is [ErrExists], whatever the
//     bytes. There is no rename and no append.
//   - A list is complete or an error. A repository whose directory has gone
//     (unmounted, unplugged, moved) answers [ErrNoRepository] to everything
//     that finds nothing, never an empty list or fs.ErrNotExist: "the disk is
//     away" must not look like "the photos are lost". Nothing is ever written
//     below an empty mount point.
//   - Removing what is not there succeeds, so that an interrupted removal can
//     be repeated. When Remove returns nil, the removal survives a power cut.
//   - Several processes may use one repository. Each removes only its own
//     staged leftovers, told apart by owner.
//   - ReadAt may go on serving an object that another process has removed,
//     while a descriptor is pooled; Size and List never do. The bytes are the
//     object's own, since objects are immutable.
//   - Bytes are not checked here. Whoever reads authenticates.
//
// # Modes
//
// Directories are 0700 and files 0600: names and sizes tell about the owner's
// work, and nobody else has business here. Files are not 0400, because SMB and
// exFAT turn a missing write bit into the read-only attribute, and pruning then
// fails; against changes there is the seal inside each object, not a mode. A
// directory that the user made keeps its mode; only what lies in it is private.
//
// # Refusals
//
// No retries against a failing disk but one (a pooled descriptor may be stale),
// no knowledge of what objects mean, no symbolic links within the repository.
package backend
