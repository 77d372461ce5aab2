package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

const (
	// screenWidth is what the demo's lines keep to.
	screenWidth = 100
	// margin stands before everything that belongs to a section.
	margin = "  "
)

// screen is what the demo is shown on. With -o json nobody sees it. A writer that
// fails is noticed by flush, at the end of each section.
type screen struct {
	w      io.Writer
	stdout *bufio.Writer
	pretty bool
}

func newScreen(a *app) screen {
	s := screen{w: a.stdout, stdout: a.stdout, pretty: a.pretty}
	if a.format == formatJSON {
		s.w = io.Discard
	}
	return s
}

// flush shows what was written so far.
func (s *screen) flush() error { return s.stdout.Flush() }

// say writes one line of text.
func (s *screen) say(format string, args ...any) { s.line("", lipgloss.NewStyle(), format, args...) }

// heading begins a section.
func (s *screen) heading(title string) {
	s.say("")
	s.line("", lipgloss.NewStyle().Bold(true), "%s", title)
}

// call shows a call of the library, or an SQL statement, that is made right after.
func (s *screen) call(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		s.line(margin+"> ", lipgloss.NewStyle().Foreground(lipgloss.Cyan), "%s", line)
	}
}

// command shows a command for the reader to try.
func (s *screen) command(format string, args ...any) {
	s.line(margin, lipgloss.NewStyle().Foreground(lipgloss.Cyan), format, args...)
}

// note explains, or shows what somebody else said. It is wrapped at spaces only, so
// that ids and times stay in one piece.
func (s *screen) note(format string, args ...any) {
	line := ""
	for word := range strings.FieldsSeq(plainText(fmt.Sprintf(format, args...))) {
		if line != "" && lipgloss.Width(margin+line+" "+word) > screenWidth {
			s.line(margin, lipgloss.NewStyle(), "%s", line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	s.line(margin, lipgloss.NewStyle(), "%s", line)
}

// ok marks a check that held.
func (s *screen) ok(format string, args ...any) {
	s.mark("ok", lipgloss.NewStyle().Foreground(lipgloss.Green), fmt.Sprintf(format, args...))
}

// failed marks one that did not.
func (s *screen) failed(format string, args ...any) {
	s.mark("FAILED", lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true), fmt.Sprintf(format, args...))
}

func (s *screen) mark(mark string, style lipgloss.Style, text string) {
	if s.pretty {
		mark = style.Render(mark)
	}
	_, _ = fmt.Fprintf(s.w, "%s%s  %s\n", margin, mark, plainText(text))
}

func (s *screen) line(before string, style lipgloss.Style, format string, args ...any) {
	text := plainText(fmt.Sprintf(format, args...))
	if s.pretty && text != "" {
		text = style.Render(text)
	}
	_, _ = fmt.Fprintf(s.w, "%s%s\n", before, text)
}

// table shows rows as every verb does, within the margin. It is plain on a terminal
// as well: a rule below the titles would not leave the widest table its room.
func (s *screen) table(columns []column, rows [][]string) error {
	var text strings.Builder
	t := table{w: &text, columns: columns, block: tableBlock}
	for _, cells := range rows {
		if err := t.add(cells); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		_, _ = io.WriteString(s.w, margin+line)
	}
	return nil
}
