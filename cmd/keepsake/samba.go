package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/daemon/config"
	"keepsake/fusefs/catalogue"
	"keepsake/packaging/samba"
	"keepsake/store"
)

type sambaArgs struct {
	Source string
	Share  string // empty: the source's label
	Path   []byte // the directory that is shared; empty: the source's
	View   []byte // where the view is; empty: where the process that keeps the sources shows it
	Usual  []byte // where it is looked for if nobody keeps them
}

func (a *app) sambaConfigCommand() *cobra.Command {
	var args sambaArgs
	var path, view string
	c := &cobra.Command{
		Use:   "samba-config SOURCE",
		Short: `Print what makes Windows show a source's "Previous Versions"`,
		Long: `Prints a section for smb.conf. With it, "Previous Versions" in the properties of
every file and folder of the share lists its snapshots: opens, copies, restores.
People see what the permissions of the captured files let them see.

 1. Have the service show the snapshots to everybody with those permissions. It
    does unless the configuration says allow-other = false; keepsake status says
    whether it runs.
 2. Look at the section, add it, have Samba check and read it:

      sudo keepsake samba-config weddings
      sudo keepsake samba-config weddings | sudo tee -a /etc/samba/smb.conf
      testparm -s && sudo smbcontrol all reload-config

 3. In Windows: right click, Properties, Previous Versions. Elsewhere:

      smbclient //SERVER/weddings -U anna -c 'allinfo "2026/contract.pdf"'

What would keep it from working here, such as a view that is not mounted, is said
on standard error. Nothing is changed. Needs Samba's module shadow_copy2 (Debian:
samba-vfs-modules).`,
		Example: "  keepsake samba-config weddings --share Weddings\n  keepsake samba-config weddings --path /volume1/weddings/2026",
		Args:    exactly(1, "the label of a source; keepsake status lists them"),
		RunE: func(c *cobra.Command, source []string) error {
			args.Source, args.Path, args.View, args.Usual = source[0], []byte(path), []byte(view), []byte(a.mountDir())
			return a.act(c.Context(), "samba-config", args)
		},
	}
	c.Flags().StringVar(&args.Share, "share", "", "the name of the share (default: the source's label)")
	c.Flags().StringVar(&path, "path", "", "the directory that the share shows, if it is one below the source's")
	c.Flags().StringVar(&view, "mount", "", "where the snapshots are mounted, if not where up or the service does")
	return c
}

func sambaConfigHandler(ctx context.Context, s *session, args sambaArgs, out *output) error {
	src, err := s.sharedSource(ctx, args.Source)
	if err != nil {
		return err
	}
	view := config.Resolve(s.viewForOthers(args, out))
	share := samba.Share{Name: args.Share, Path: src.path, Source: src.path, Folders: filepath.Join(view, "previous", src.folder)}
	if share.Name == "" {
		share.Name = samba.NameFor(args.Source)
	}
	if len(args.Path) > 0 {
		share.Path = config.Resolve(out.path(args.Path))
	}
	text, err := share.Stanza()
	switch {
	case errors.Is(err, samba.ErrAbove):
		return &usageError{err}
	case err != nil && samba.Name(share.Name) != nil:
		return &usageError{fmt.Errorf("%w; --share gives it another name", err)}
	case err != nil:
		return err
	}
	warnings := append(s.sambaWarnings(view), src.warnings(share.Path)...)
	for _, w := range warnings {
		out.note("%s", w)
	}
	if out.options.JSON {
		out.emit("samba_config", sambaFields(args.Source, share, text, warnings))
		return nil
	}
	out.printf("%s", strings.TrimSuffix(text, "\n"))
	return nil
}

func sambaFields(label string, share samba.Share, text string, warnings []string) map[string]any {
	all, err := share.Parameters()
	if err != nil {
		panic("cmd: " + err.Error()) // the text was made of them
	}
	parameters := map[string]string{}
	for _, p := range all {
		parameters[p.Name] = p.Value
	}
	return map[string]any{
		"source": label, "share": share.Name, "path": share.Path, "folders": share.Folders,
		"parameters": parameters, "text": text, "warnings": append([]string{}, warnings...),
	}
}

// sharedSource is a source as a share of it must know it.
type sharedSource struct {
	path    string // of its directory
	folder  string // what the view calls it
	host    string // where its newest snapshot was taken
	here    string // the host that this is
	retired bool
}

// sharedSource finds a source by its label, and refuses one that no share can
// show versions of.
func (s *session) sharedSource(ctx context.Context, label string) (sharedSource, error) {
	all, _, err := s.repo.Briefs(ctx) // what cannot be read is status's to tell
	if err != nil {
		return sharedSource{}, err
	}
	var newest store.Origin // of the newest snapshot
	labels := map[string]bool{}
	taken := false
	for _, b := range all { // oldest first
		of := b.Origin()
		labels[of.Label] = true
		if of.Label == label {
			newest, taken = of, true
		}
	}
	sources := s.inForce()
	for _, c := range sources {
		labels[c.Label] = true
	}
	at := slices.IndexFunc(sources, func(c config.Source) bool { return c.Label == label })
	src := sharedSource{here: s.env.host, retired: at < 0 && len(sources) > 0}
	switch {
	case !labels[label]:
		return src, &usageError{fmt.Errorf("there is no source %s; %s", quote(label), thereAre(labels))}
	case at >= 0 && sources[at].IsCommand(), at < 0 && newest.RootPath == "":
		return src, &usageError{fmt.Errorf("%s is the output of a command: there is no folder whose earlier versions a share could show. They are all in the mounted view, in snapshots and versions", quote(label))}
	case !taken:
		return src, fmt.Errorf("%s has no snapshot yet, so there is nothing to show; keepsake backup-now %s takes one", quote(label), shellWord(label))
	}
	src.path, src.host = newest.RootPath, newest.Host
	if at >= 0 {
		src.path = sources[at].Path
	}
	src.path = config.Resolve(src.path)
	src.folder = catalogue.New(all).ByID(newest.Source).Name
	return src, nil
}

// thereAre lists labels that somebody could have meant.
func thereAre(labels map[string]bool) string {
	if len(labels) == 0 {
		return "there are no snapshots yet, keepsake up DIR takes the first"
	}
	var all []string
	for label := range labels {
		all = append(all, quote(label))
	}
	slices.Sort(all)
	return "there are: " + strings.Join(all, ", ")
}

// warnings are what keeps the share from showing what snapshots were taken of.
func (src sharedSource) warnings(shared string) (all []string) {
	if info, err := os.Stat(shared); err != nil || !info.IsDir() {
		text := shared + " is no directory here"
		if src.host != src.here {
			text += fmt.Sprintf("; its snapshots were taken on %s", quote(src.host))
		}
		all = append(all, text)
	}
	if src.retired {
		all = append(all, "the configuration does not name this source any more: its versions stay, new ones do not come")
	}
	return all
}
