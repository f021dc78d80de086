// Package guard judges whether what a run saw can be a studio's work, or is a
// disk that was not mounted, a deletion that nobody meant, or an attack. It
// only counts and compares: it touches no file.
//
// # Vocabulary
//
// An observation is what one run counted while it compared a source with its
// previous snapshot. The window is the observations of the last 24 hours. A
// guard is one way of looking at both; what it finds is a finding, and its name
// the mark in the manifest.
//
//	emptied            no file is left of a source that had some
//	other-file-system  the source, or something mounted in it, lies on another one than before
//	shrunk             most files, or most bytes, are gone
//	mass-change        many files were overwritten with noise, renamed to
//	                   extensions that nobody knows, or deleted one by one all over
//
// # What a name promises
//
// The extension of a media file promises how it begins. A photo that began so
// and no longer does, nor as any other kind of file that is known here, was
// overwritten. This needs no share of the whole library to be sure, and costs
// nothing: the file is read anyway. Extensions that are not known promise
// nothing. Kinds without a beginning of their own (text), or whose body
// compresses by nature (XMP, catalogues), are asked for the entropy of a sample.
//
// # What a studio does
//
// It adds thousands of files at once, retags them all, renames and moves them,
// deletes or archives whole projects, rebuilds catalogues, converts RAW files to
// DNG. None of it makes files unlike their names, invents extensions, or deletes
// here and there in every directory; this is what the guards tell apart. How
// many files were new or changed says nothing and is not judged.
//
// # Limits
//
// Who leaves the beginning of each photo or film alone, prepends a known one, or
// encrypts fewer files a day than the least numbers is not noticed. Neither is
// who changes files on a file system that keeps no change times, sets their
// modification times back and keeps their sizes: such files are not read again,
// except by the rolling re-read.
//
// # Invariants
//
//   - A finding is about what the present observation added to: a run that did
//     nothing wrong is not marked because of an earlier one.
//   - An attack in slices adds up over the window, whatever the slices.
//   - A window has a bound, however many runs there were, and forgets nothing
//     because the clock was set back.
package guard
