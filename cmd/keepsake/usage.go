package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError marks mistakes in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exactly is the arity of a verb, as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{fmt.Errorf("%s takes %s; see %[1]s --help", c.CommandPath(), what)}
		}
		return nil
	}
}

// strict makes usage errors of the mistakes that cobra answers with help and
// success, or with an error that cannot be told from others.
func strict(root *cobra.Command) {
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownVerb(c, args[0])
		}
		return c.Help()
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(_ *cobra.Command, verb []string) error {
				if _, rest, err := root.Find(verb); err != nil || len(rest) > 0 {
					return unknownVerb(root, strings.Join(verb, " "))
				}
				return nil
			}
		case "completion":
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(*cobra.Command, []string) error {
				return &usageError{errors.New("keepsake completion needs one of bash, zsh, fish, powershell")}
			}
		}
	}
}

func unknownVerb(root *cobra.Command, verb string) error {
	err := fmt.Errorf("unknown command %q", verb)
	if near := root.SuggestionsFor(verb); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return &usageError{fmt.Errorf("%w; see keepsake --help", err)}
}
