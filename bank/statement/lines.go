package statement

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxLineBytes is the longest line that is read, without its line ending. A longer
// one is reported by its number and passed over without being held in memory.
const MaxLineBytes = 64 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// line is one physical line of a file, without its line ending.
type line struct {
	number int
	text   string
	// tooLong: the line has more than MaxLineBytes; text is empty.
	tooLong bool
}

// lines hands out the lines of a file one by one.
type lines struct {
	reader *bufio.Reader
	// number is that of the last line read from reader.
	number int
	// back are lines that were handed out too early and come again.
	back []line
	// err is how reading ended: io.EOF or a failure.
	err error
}

func newLines(r io.Reader) *lines {
	// Room for the longest line and its CR LF, so that a full buffer without a line
	// ending means a line that is too long.
	return &lines{reader: bufio.NewReaderSize(r, MaxLineBytes+len("\r\n"))}
}

// next returns the next line, io.EOF after the last one, or the reader's failure.
func (l *lines) next() (line, error) {
	if len(l.back) > 0 {
		first := l.back[0]
		l.back = l.back[1:]
		return first, nil
	}
	if l.err != nil {
		return line{}, l.err
	}
	if l.number == 0 {
		if start, _ := l.reader.Peek(len(byteOrderMark)); bytes.Equal(start, byteOrderMark) {
			_, l.err = l.reader.Discard(len(byteOrderMark))
		}
	}
	text, err := l.reader.ReadSlice('\n')
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		text, err = l.reader.ReadSlice('\n')
	}
	if err != nil {
		l.err = err
		// A line cut off by a failure is not a line, and nothing after the last line
		// ending is none.
		if !errors.Is(err, io.EOF) || len(text) == 0 && !tooLong {
			return line{}, err
		}
	}
	l.number++
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if tooLong || len(text) > MaxLineBytes {
		return line{number: l.number, tooLong: true}, nil
	}
	return line{number: l.number, text: string(text)}, nil
}

// unread makes lines that next returned come again, in the same order.
func (l *lines) unread(again ...line) { l.back = append(again, l.back...) }
