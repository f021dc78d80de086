package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"keepsake/crypto"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "List, add or confirm what opens the repository",
		RunE: func(c *cobra.Command, args []string) error {
			return &usageError{errors.New("keepsake key needs one of list, add, confirm")}
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the key slots", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.act(c.Context(), "key list", struct{}{}) },
	}
	confirm := &cobra.Command{
		Use: "confirm", Short: "Type the recovery code once, to be sure that it was written down",
		Args: exactly(0, "no arguments; the code is asked for"),
		RunE: func(c *cobra.Command, _ []string) error { return a.confirmKey(c.Context()) },
	}
	c.AddCommand(list, a.keyAddCommand(), confirm)
	return c
}

func (a *app) keyAddCommand() *cobra.Command {
	var keyFile string
	var recovery bool
	var label string
	c := &cobra.Command{
		Use:   "add",
		Short: "Make a further password, key file or recovery code open the repository",
		Long: `Without flags, asks for a new password (or takes KEEPSAKE_NEW_PASSWORD and its
kin). The key slots that exist stay as they are.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.addKey(c.Context(), keyFile, recovery, label) },
	}
	c.Flags().StringVar(&keyFile, "new-key-file", "", "make this key file")
	c.Flags().BoolVar(&recovery, "recovery", false, "make a further recovery code")
	c.Flags().StringVar(&label, "label", "", "what to call the slot")
	return c
}

// keyAddArgs carries a secret: the socket is private to the owner, and nothing
// of a request is logged.
type keyAddArgs struct {
	Kind  crypto.SlotKind
	Text  string
	Label string
}

func (a *app) addKey(ctx context.Context, keyFile string, recovery bool, label string) error {
	args := keyAddArgs{Kind: crypto.SlotPassphrase, Label: label}
	switch {
	case keyFile != "" && recovery:
		return &usageError{errors.New("--new-key-file and --recovery make one slot each; give one of them")}
	case keyFile != "":
		path := a.env.abs(keyFile)
		if _, err := writeKeyFile(path); err != nil {
			return err
		}
		b, err := readSecretFile(path)
		if err != nil {
			return err
		}
		args.Kind, args.Text = crypto.SlotKeyFile, string(b)
		return a.addSaved(ctx, args, path)
	case recovery:
		return a.addRecovery(ctx, args)
	default:
		text, ok, err := a.givenPassword(ctx, "KEEPSAKE_NEW_PASSWORD")
		if err == nil && !ok {
			text, err = a.askNewPassword(ctx, "KEEPSAKE_NEW_PASSWORD")
		}
		if err != nil {
			return err
		}
		args.Text = text
	}
	return a.act(ctx, "key add", args)
}

func (a *app) addRecovery(ctx context.Context, args keyAddArgs) error {
	code, err := crypto.GenerateRecoveryCode(random)
	if err != nil {
		return err
	}
	m := made{recovery: code}
	if !a.env.terminal || a.flags.json {
		if m.recoveryFile, err = a.saveRecovery(code); err != nil {
			return err
		}
	}
	args.Kind, args.Text = crypto.SlotRecoveryCode, code.Printable()
	if err := a.addSaved(ctx, args, m.recoveryFile); err != nil {
		return err
	}
	if a.flags.json {
		a.output().emit("recovery", map[string]any{"recovery_file": m.recoveryFile})
		return nil
	}
	if m.recoveryFile != "" {
		a.output().printf("Recovery    %s (move the code to paper or a safe, then delete the file)", m.recoveryFile)
		return nil
	}
	a.output().printf("Recovery    %s", code.Printable())
	return nil
}

// addSaved adds a slot whose secret was written to a file beforehand. A file
// that opens nothing would mislead, so it goes if the slot did not come to be.
func (a *app) addSaved(ctx context.Context, args keyAddArgs, path string) error {
	err := a.act(ctx, "key add", args)
	if err != nil && path != "" {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (k keyAddArgs) secret() (crypto.Secret, error) {
	switch k.Kind {
	case crypto.SlotKeyFile:
		return crypto.ParseKeyFile([]byte(k.Text))
	case crypto.SlotRecoveryCode:
		code, err := crypto.ParseRecoveryCode(k.Text)
		return crypto.Recovery(code), err
	}
	return crypto.Passphrase(k.Text), nil
}

func keyAddHandler(ctx context.Context, s *session, args keyAddArgs, out *output) error {
	secret, err := args.secret()
	if err != nil {
		return err
	}
	if args.Label == "" {
		args.Label = args.Kind.String()
	}
	slot, err := s.repo.AddSlot(ctx, secret, args.Label)
	if err != nil {
		return err
	}
	if out.options.JSON {
		out.emit("key_added", map[string]any{"id": slot.ID.String(), "kind": slot.Kind.String(), "label": slot.Label})
		return nil
	}
	out.say("added key slot %.8s (%s)", slot.ID, slot.Label)
	return nil
}

func keyListHandler(ctx context.Context, s *session, _ struct{}, out *output) error {
	slots, err := s.repo.Slots(ctx)
	if err != nil {
		return err
	}
	// The oldest first, and always in the same order.
	slices.SortFunc(slots, func(a, b *crypto.Slot) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.ID[:], b.ID[:]))
	})
	var rows []table.Row
	for _, slot := range slots {
		made := time.Unix(slot.Created, 0)
		if out.options.JSON {
			out.emit("key", map[string]any{"id": slot.ID.String(), "kind": slot.Kind.String(), "label": slot.Label, "created": made.Format(time.RFC3339)})
			continue
		}
		rows = append(rows, table.Row{slot.ID.String()[:8], slot.Kind.String(), slot.Label, made.Format("2006-01-02 15:04")})
	}
	if len(rows) > 0 {
		out.table(table.Row{"slot", "kind", "label", "made"}, rows)
	}
	return nil
}

type keyConfirmArgs struct{ Code string }

// confirmKey asks for the code where the person is and has it tried.
func (a *app) confirmKey(ctx context.Context) error {
	text, ok, err := a.givenPassword(ctx, "KEEPSAKE_RECOVERY_CODE")
	if err == nil && !ok {
		if !a.env.asks {
			return &usageError{errors.New("there is no terminal to ask on; set KEEPSAKE_RECOVERY_CODE_FILE instead")}
		}
		text, err = a.askSecret(ctx, "Recovery code: ")
	}
	if err != nil {
		return err
	}
	return a.act(ctx, "key confirm", keyConfirmArgs{text})
}

func keyConfirmHandler(ctx context.Context, s *session, args keyConfirmArgs, out *output) error {
	code, err := crypto.ParseRecoveryCode(args.Code)
	if err != nil {
		return err
	}
	slot, err := s.repo.ConfirmSecret(ctx, crypto.Recovery(code))
	if err != nil {
		return fmt.Errorf("the code is well-formed, but does not open this repository: %w", err)
	}
	if err := s.repo.State().SetConfirmed(s.repo.Now()); err != nil {
		return err
	}
	if out.options.JSON {
		out.emit("key_confirmed", map[string]any{"id": slot.ID.String()})
		return nil
	}
	out.say("The recovery code opens the repository. Keep it away from this machine.")
	return nil
}
