package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainText returns text with everything that a terminal would obey instead of
// show, such as escape sequences, line breaks and characters that turn the
// direction of writing, spelled out: what others have stored is not to be trusted.
func plainText(text string) string {
	if !strings.ContainsFunc(text, isUnprintable) {
		return text
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case isUnprintable(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return b.String()
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// maxShown is how many characters of a value that may be long are shown where it
// stands in a message or a table.
const maxShown = 80

// shorten cuts text that is too long to be shown.
func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxShown {
		return text
	}
	return string([]rune(text)[:maxShown]) + "…"
}
