package statement

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// File is a bank's file that is being read.
type File struct {
	// Name is the name it was opened under.
	Name string
	// Kind is what its lines are: all of them are of one kind.
	Kind Kind

	format  format
	columns map[Column]int
	width   int
	lines   *lines
	fields  []string
}

// Open reads the first line of a file and finds out which kind it is. The name is
// for messages. A file that is empty, or whose columns are not those of the mapping,
// is a [*HeaderError]; a mapping that is wrong in itself is a [*MappingError].
func (m *Mapping) Open(name string, r io.Reader) (*File, error) {
	formats, err := m.compile()
	if err != nil {
		return nil, err
	}
	file := &File{Name: name, lines: newLines(r)}
	first, err := file.lines.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, &HeaderError{File: name, Reason: "the file is empty"}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(formats) == 1 && formats[0].noHeader {
		// There is nothing to recognise, and the first line may be a bad one.
		file.format = formats[0]
		file.columns, _ = file.format.columns(first)
	} else if file.format, file.columns, err = recognise(name, formats, first); err != nil {
		return nil, err
	}
	if file.format.noHeader {
		file.lines.unread(first)
	}
	file.Kind, file.width = file.format.kind, len(file.columns)
	return file, nil
}

// Facts yields what the lines say, in the order of the file. Every line after the
// header that is not empty is either in one fact or in one [*LineError]; after a
// LineError it goes on. Any other error is the reader's and the last thing yielded.
//
// A file is read once: a second call goes on where the first stopped.
func (f *File) Facts() iter.Seq2[Fact, error] {
	return func(yield func(Fact, error) bool) {
		for {
			next, err := f.lines.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s: after line %d: %w", f.Name, f.lines.number, err))
				return
			}
			if next.text == "" && !next.tooLong {
				continue
			}
			if !yield(f.read(next)) {
				return
			}
		}
	}
}

func (f *File) read(l line) (Fact, error) {
	refuse := func(last int, format string, args ...any) (Fact, error) {
		return nil, &LineError{Line: l.number, LastLine: last, Reason: fmt.Sprintf(format, args...)}
	}
	if l.tooLong {
		return refuse(l.number, "it has more than %d bytes", MaxLineBytes)
	}
	var end ending
	f.fields, end = split(f.fields[:0], l.text, f.format.delimiter, false)
	switch end {
	case broken:
		return refuse(l.number, `a quote must enclose a whole field, and be doubled inside it: "so ""to"" speak"`)
	case open:
		last := f.lastOf(l)
		if last == l.number {
			return refuse(last, "a quote is opened and never closed")
		}
		return refuse(last, "a quoted field goes over several lines: a record must be one line")
	case complete:
	}
	if !utf8.ValidString(l.text) {
		return refuse(l.number, "it is not UTF-8: convert the file, for example with iconv -t UTF-8")
	}
	if len(f.fields) != f.width {
		return refuse(l.number, "it has %d fields, not %d: is it cut off, or a delimiter not quoted?", len(f.fields), f.width)
	}
	return f.format.fact(row{line: l.number, fields: f.fields, columns: f.columns})
}

// lastOf reads on from a line that ends inside a quoted field, and returns the
// number of the line on which that field is closed and its record ends.
//
// It looks ahead at most [MaxLineBytes]. If by then the quote is not closed, or if
// what follows cannot be the inside of a quoted field, then the quote was a stray
// one: the lines that were looked at are given back and the first one stands alone.
// That costs no line more than one look ahead: within the reach of one opened quote
// every further line has an even number of quotes and so opens none itself.
func (f *File) lastOf(first line) int {
	var seen []line
	for size := len(first.text); size <= MaxLineBytes; {
		next, err := f.lines.next()
		if err != nil {
			break // the next call returns it again
		}
		seen = append(seen, next)
		if next.tooLong {
			break
		}
		_, end := split(nil, next.text, f.format.delimiter, true)
		if end == complete {
			return next.number
		}
		if end == broken {
			break
		}
		size += len(next.text) + 1
	}
	f.lines.unread(seen...)
	return first.number
}
