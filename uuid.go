package daybook

import (
	"fmt"

	"github.com/google/uuid"
)

// UUID is a 128-bit identifier as RFC 9562 defines it. It is written and read in
// one form only: 36 characters, lower case, with dashes. The zero value means
// "none given" and is refused wherever an id is needed.
type UUID [16]byte

// NewUUID makes a version 7 UUID: its first 48 bits are the time in
// milliseconds, so that ids made later sort later, and the rest is random.
func NewUUID() UUID {
	return UUID(uuid.Must(uuid.NewV7()))
}

// ParseUUID reads the canonical form. Braces, a urn: prefix, missing dashes and
// capital letters are refused: one id has one spelling, so that text comparison
// is id comparison. The nil UUID is refused as well. The error is an
// [*InvalidError].
func ParseUUID(text string) (UUID, error) {
	id, err := uuid.Parse(text)
	switch {
	case err != nil || id.String() != text:
		return UUID{}, invalid("uuid", "%s is not a UUID in its canonical form: 36 characters, lower case, like 017f22e2-79b0-7cc3-98c4-dc0c0c07398f", quote(text))
	case id == uuid.Nil:
		return UUID{}, invalid("uuid", "the nil UUID names nothing: give a real one")
	}
	return UUID(id), nil
}

// Derive makes the version 5 UUID of name in the namespace u: the same two
// always give the same UUID. Everything that must happen once gets its id this way.
func (u UUID) Derive(name string) UUID {
	return UUID(uuid.NewSHA1(uuid.UUID(u), []byte(name)))
}

// IsZero reports whether u is the zero value, "none given".
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the canonical form.
func (u UUID) String() string { return uuid.UUID(u).String() }

// MarshalText returns the canonical form, for JSON and the like.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what [ParseUUID] reads.
func (u *UUID) UnmarshalText(text []byte) error {
	id, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*u = id
	return nil
}

// quote shows text that may be hostile: escaped, and cut after 64 characters.
func quote(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		return fmt.Sprintf("%+q… (%d bytes)", string(runes[:most]), len(text))
	}
	return fmt.Sprintf("%+q", text)
}
