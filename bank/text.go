package bank

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTextLength is the most characters (code points) a name or a reference may have.
const MaxTextLength = 500

// ErrText is every refusal of a name or a reference.
var ErrText = errors.New("bank: text")

// TextError says why a text cannot be recorded.
type TextError struct {
	// Field is what the text was for: "owner", "reference".
	Field string
	// Text is the text as it was given; it may be hostile and large.
	Text string
	// Reason says what is wrong and what would be accepted.
	Reason string
}

func (e *TextError) Error() string {
	return "bank: " + e.Field + " " + quoteShort(e.Text) + ": " + e.Reason
}

// Unwrap returns [ErrText].
func (e *TextError) Unwrap() error { return ErrText }

// CheckText reports whether a text can be recorded as a name or a reference, by a
// [*TextError] that names field if not. It is recorded as it is, so what could do
// harm where it is shown is refused: more than [MaxTextLength] characters, invalid
// UTF-8, control characters (U+0000, line breaks, tabs, ANSI escapes), line and
// paragraph separators, byte order marks, and characters that turn the direction of
// writing. Letters of every script, combining marks, joiners and emoji are fine,
// and so is no text at all.
func CheckText(field, text string) error {
	refuse := func(format string, args ...any) error {
		return &TextError{Field: field, Text: text, Reason: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(text) {
		return refuse("it is not valid UTF-8")
	}
	if length := utf8.RuneCountInString(text); length > MaxTextLength {
		return refuse("it has %d characters: use at most %d", length, MaxTextLength)
	}
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return refuse("it contains the control character %U: use one line of plain text", r)
		case unicode.Is(unicode.Bidi_Control, r):
			return refuse("it contains %U, which turns the direction of writing: leave it out", r)
		case r == '\uFEFF':
			return refuse("it contains %U, a byte order mark: leave it out", r)
		}
	}
	return nil
}

// CheckOwner reports whether a text can be the name of an account's owner: what
// [CheckText] accepts, with at least one character that can be seen. The error is
// a [*TextError].
func CheckOwner(name string) error {
	if err := CheckText("owner", name); err != nil {
		return err
	}
	if !strings.ContainsFunc(name, isVisible) {
		return &TextError{Field: "owner", Text: name, Reason: "it is empty: give the owner's name, one character or more"}
	}
	return nil
}

// isVisible reports whether r shows something by itself.
func isVisible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// shown is text as it is where that is harmless, and escaped where it is not.
func shown(text string) string {
	if CheckHandle(text) != nil {
		return quoteShort(text)
	}
	return text
}
