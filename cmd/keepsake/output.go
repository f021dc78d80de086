package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"keepsake/daemon/config"
	"keepsake/daemon/control"
)

// output is what a verb says, wherever its reader is. Results go to standard
// output; notes, problems and errors to standard error; with --json both are
// lines with a message_type.
type output struct {
	options control.Options
	stream  control.Stream
	peer    control.Peer // who asks; only of handlers
	log     *slog.Logger // takes notes; nil: standard error does
}

func newOutput(o control.Options, s control.Stream) *output { return &output{options: o, stream: s} }

func (a *app) output() *output {
	o := newOutput(a.options(), a.stream())
	o.log = a.log
	return o
}

// printf writes a line for people; nothing with --json.
func (o *output) printf(format string, args ...any) {
	if !o.options.JSON {
		write(o.stream.Stdout, fmt.Sprintf(format, args...)+"\n")
	}
}

// say is printf for what --quiet leaves out.
func (o *output) say(format string, args ...any) {
	if !o.options.Quiet {
		o.printf(format, args...)
	}
}

// note tells what a person should know beside the result.
func (o *output) note(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if o.log != nil {
		o.log.Warn(message)
		return
	}
	if o.options.JSON {
		o.object(o.stream.Stderr, map[string]any{"message_type": "note", "message": message})
		return
	}
	write(o.stream.Stderr, "keepsake: "+message+"\n")
}

// problem tells of one path that could not be dealt with.
func (o *output) problem(path, reason string) {
	if o.options.JSON {
		o.object(o.stream.Stderr, map[string]any{"message_type": "error", "item": path, "error": reason})
		return
	}
	write(o.stream.Stderr, o.color(text.FgYellow, "! ")+quote(path)+": "+reason+"\n")
}

// emit writes one JSON line to standard output.
func (o *output) emit(messageType string, fields map[string]any) {
	fields["message_type"] = messageType
	o.object(o.stream.Stdout, fields)
}

func (o *output) object(w io.Writer, fields map[string]any) {
	b, err := json.Marshal(fields)
	if err != nil {
		panic("cmd: " + err.Error()) // only our own types are in it
	}
	write(w, string(b)+"\n")
}

// write passes text on. A reader who has gone is noticed by whoever serves the
// stream; a verb that was asked for goes on.
func write(w io.Writer, s string) { _, _ = io.WriteString(w, s) }

// fail tells an error, if it is one that was not told yet, and returns its
// exit code.
func (o *output) fail(ctx context.Context, err error) int {
	code := exitCode(ctx, err)
	if err == nil || err == errIncomplete || code == exitInterrupted && o.options.Quiet {
		return code
	}
	message := err.Error()
	wrong, misconfigured := errors.AsType[*config.FileError](err)
	if misconfigured {
		message = fmt.Sprintf("%s has %s", wrong.Path, count(len(wrong.Problems), "problem"))
	}
	if code == exitInterrupted {
		message = "interrupted"
	}
	next := remedy(err)
	if misconfigured && o.options.JSON {
		o.problems(wrong.Problems) // what ends the output stays last
	}
	if o.options.JSON {
		o.object(o.stream.Stderr, map[string]any{"message_type": "exit_error", "code": code, "message": message, "remedy": next})
		return code
	}
	write(o.stream.Stderr, o.color(text.FgRed, "keepsake: ")+message+"\n")
	if misconfigured {
		o.problems(wrong.Problems)
	}
	if next != "" {
		write(o.stream.Stderr, "  "+next+"\n")
	}
	return code
}

func (o *output) color(c text.Color, s string) string {
	if !o.options.Color {
		return s
	}
	return c.Sprint(s)
}

// table prints rows below a heading.
func (o *output) table(heading table.Row, rows []table.Row) {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	style := t.Style()
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	t.AppendHeader(heading)
	t.AppendRows(rows)
	for line := range strings.SplitSeq(t.Render(), "\n") {
		o.printf("%s", strings.TrimRight(line, " "))
	}
}

// quote shows a path on one line, whatever bytes it has.
func quote(path string) string {
	plain := utf8.ValidString(path)
	for _, r := range path {
		plain = plain && unicode.IsPrint(r)
	}
	if plain {
		return path
	}
	return strconv.Quote(path)
}

func size[N int | int64 | uint64](n N) string { return humanize.IBytes(uint64(n)) }

func count[N int | int64 | uint64](n N, noun string) string {
	s := humanize.Comma(int64(n)) + " " + noun
	switch {
	case n == 1:
		return s
	case strings.HasSuffix(noun, "y"):
		return strings.TrimSuffix(s, "y") + "ies"
	}
	return s + "s"
}

// logger writes records for those who debug to standard error.
func (a *app) logger() *slog.Logger {
	if a.log != nil {
		return a.log
	}
	level := slog.LevelError + 1
	switch {
	case a.flags.verbose > 1:
		level = slog.LevelDebug
	case a.flags.verbose > 0:
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(a.env.stderr, &slog.HandlerOptions{Level: level}))
}
