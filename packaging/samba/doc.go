// Package samba words what Samba must be told so that Windows shows the earlier
// versions of what lies in a share: a section of smb.conf that has the module
// shadow_copy2 look into the mounted view.
//
// # What the words are for
//
// Found with smbd 4.17 and a mounted view; the tests of the command line hold it.
//
//   - snapdir is absolute and may lie on any file system, outside the share.
//     Samba looks there as the user who is connected, so that the view must let
//     other users in, and their own rights decide what they can read. Neither
//     wide links nor anything else that weakens the share is needed.
//   - basedir, or snapsharepath for a share below the source, is needed: without
//     it the versions are listed and none can be opened.
//   - snapdirseverywhere and crossmountpoints take basedir away even where
//     snapdir is absolute, so they are set to no, whatever [global] says.
//   - For a share below the source snapsharepath is right in all cases: basedir
//     is ignored if another file system is mounted between it and the share.
//   - There is no setting for a share above the source.
//   - The place among other vfs objects does not matter for these: catia, fruit,
//     streams_xattr, acl_xattr, recycle, full_audit, btrfs.
//   - While keepsake does not run the share is as it is without versions; they
//     are back when it runs again, for those who stay connected, too.
//
// # What no words help against
//
// Samba 4.17 looks for the folder that a file lies in among what is in the share
// now. A file of an earlier version can be opened only while its folder exists
// (an empty one will do), and a file that is gone only by its exact case.
//
// Clients ask for the list with room for 64 KiB and show no version at all if it
// is longer: 1,310 folders. The view lists fewer.
//
// # Refusals
//
// A value that smb.conf cannot express is an error, never a line that means
// something else: see Value and Name.
package samba
