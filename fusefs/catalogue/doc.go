// Package catalogue says which folders the lists of the mounted view show, and
// what they are called. It is pure: it turns the snapshots of a repository, as
// they are at one moment, into sources and folder names.
//
// # Names
//
// A source is named by its label, made safe as a file name. Two sources whose
// names differ at most in case are told apart: the one whose first snapshot is
// older keeps the plain name, the other gets "-" and eight digits of its id.
//
// A snapshot has two names. The one for people is when it was started, in the
// zone of the captured machine; of two that were started in the same second the
// later in the order of the chain gets "-" and eight digits of its id. The one
// for Samba's shadow_copy2 is the same moment in UTC, in the only form that it
// knows ("@GMT-2026.11.21-14.05.33"). That form has no room for digits, so that
// of several snapshots of one second the last alone has it.
//
// # What is shown
//
// Snapshots that were published while their run was still under way are left
// out as soon as the same source has a later finished one. The latest is what
// store.Newest calls the newest: by numbers within a chain, and a finished one
// before any in progress.
//
// Of those for Samba not more than MostListed are listed; the rest are there if
// they are asked for by name.
package catalogue
