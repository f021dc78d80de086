package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
func strict(root *cobra.Command, showVersion func() error) {
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2 // one slip of the pen is up to two letters
	// In the place of cobra's own, which would print less than the verb does.
	asked := root.Flags().Bool("version", false, "print the version")
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownVerb(c, args[0])
		}
		if *asked {
			return showVersion()
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

// flagError makes a usage error of a flag's, in words for people.
func flagError(c *cobra.Command, err error) error {
	wrong, isValue := errors.AsType[*pflag.InvalidValueError](err)
	switch {
	case isValue && wrong.GetFlag().Value.Type() == "bool":
		err = fmt.Errorf("--%s is true or false, not %q", wrong.GetFlag().Name, wrong.GetValue())
	case isValue && errors.As(err, new(*strconv.NumError)):
		err = fmt.Errorf("--%s takes a whole number, not %q", wrong.GetFlag().Name, wrong.GetValue())
	}
	return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
}

func unknownVerb(root *cobra.Command, verb string) error {
	err := fmt.Errorf("unknown command %q", verb)
	if near := root.SuggestionsFor(verb); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return &usageError{fmt.Errorf("%w; see keepsake --help", err)}
}
