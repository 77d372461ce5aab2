package bank

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/daybook-go/daybook"
)

// MaxHandleBytes is the most bytes a handle may have.
const MaxHandleBytes = 100

// ErrHandle is every refusal of a handle.
var ErrHandle = errors.New("bank: handle")

// HandleError says why a text cannot be an account's handle.
type HandleError struct {
	// Handle is the text as it was given; it may be hostile.
	Handle string
	// Reason says what is wrong and what would be accepted.
	Reason string
}

func (e *HandleError) Error() string {
	return "bank: account handle " + quoteShort(e.Handle) + ": " + e.Reason
}

// Unwrap returns [ErrHandle].
func (e *HandleError) Unwrap() error { return ErrHandle }

// accountNamespace is where accounts' ids are derived from handles. Changing it
// would orphan every account ever opened.
var accountNamespace = daybook.UUID{0xee, 0xb8, 0xcf, 0x1a, 0x42, 0xfa, 0x4e, 0x75, 0xb8, 0x8b, 0x35, 0x09, 0x71, 0x9f, 0x34, 0x4e}

// AccountID returns the aggregate a handle names: a UUID in its canonical form as
// it is, and any other handle by UUIDv5 in a namespace that is fixed for ever. So
// an account can be addressed by its handle and by its aggregate id.
//
// It answers for every text. Whether the text should be a handle is [CheckHandle]'s
// question.
func AccountID(handle string) daybook.AggregateID {
	id, err := daybook.ParseUUID(handle)
	if err != nil {
		id = accountNamespace.Derive(handle)
	}
	return daybook.AggregateID{Type: AccountType, ID: id}
}

// CheckHandle reports whether a text can be an account's handle, by a
// [*HandleError] if not. A handle has 1 to [MaxHandleBytes] bytes of letters, marks,
// digits, punctuation and symbols that can be seen, in Unicode's normal form NFC.
// Upper and lower case differ.
//
// One account has one spelling: white space, invisible and control characters are
// refused, and so is everything that looks like a UUID and is not in the canonical
// form, because it would name another account than the UUID it is meant to be.
func CheckHandle(handle string) error {
	refuse := func(format string, args ...any) error {
		return &HandleError{Handle: handle, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case handle == "":
		return refuse("it is empty: name an account, like alice")
	case len(handle) > MaxHandleBytes:
		return refuse("it has %d bytes: use at most %d", len(handle), MaxHandleBytes)
	case !utf8.ValidString(handle):
		return refuse("it is not valid UTF-8")
	}
	for _, r := range handle {
		switch {
		case unicode.In(r, unicode.White_Space, unicode.Z):
			return refuse("it contains white space (%U): use '-' or '_' instead", r)
		case !isVisible(r):
			return refuse("it contains %U, which cannot be seen: use letters, digits and punctuation", r)
		}
	}
	if !norm.NFC.IsNormalString(handle) {
		return refuse("it is not in Unicode's normal form NFC: write it as %s", quoteShort(norm.NFC.String(handle)))
	}
	if _, err := daybook.ParseUUID(handle); err != nil && looksLikeUUID(handle) {
		return refuse("%s", uuidAdvice(handle))
	}
	return nil
}

// looksLikeUUID reports whether handle is 30 to 34 hexadecimal digits with nothing
// but what people put around and between those of a UUID: a UUID in another
// spelling, or with a digit or two too many or too few.
func looksLikeUUID(handle string) bool {
	bare := strings.ToLower(handle)
	bare = strings.TrimPrefix(bare, "urn:")
	bare = strings.TrimPrefix(bare, "uuid:")
	digits := 0
	for _, r := range bare {
		switch {
		case '0' <= r && r <= '9' || 'a' <= r && r <= 'f':
			digits++
		case !strings.ContainsRune("-‐‑–_:{}()[]<>\"'", r):
			return false
		}
	}
	return 30 <= digits && digits <= 34
}

func uuidAdvice(handle string) string {
	id, err := uuid.Parse(handle)
	switch {
	case err == nil && id == uuid.Nil:
		return "the nil UUID names no account: give a real one"
	case err == nil:
		return "it is a UUID in another spelling: write it in canonical form, " + id.String()
	default:
		return "it looks like a UUID and is not one: write it in canonical form, 36 characters, lower case, like 017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
	}
}
