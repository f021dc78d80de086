package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0, "no arguments"),
		// Whoever asks for help with a broken configuration is asked for this first.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE:              func(*cobra.Command, []string) error { return a.showVersion() },
	}
}

func (a *app) showVersion() error {
	out := a.output()
	if a.flags.json {
		out.emit("version", map[string]any{"version": version, "go_version": runtime.Version(), "go_os": runtime.GOOS, "go_arch": runtime.GOARCH})
		return nil
	}
	out.printf("keepsake %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
