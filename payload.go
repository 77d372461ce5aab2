package daybook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxInteger is the largest integer that every reader of JSON keeps exactly
// (RFC 7493, I-JSON, section 2.2). -maxInteger is the smallest.
const maxInteger = 1<<53 - 1

// CanonicalJSON returns payload in the form of RFC 8785: one byte sequence for
// one value, whatever an engine made of white space and the order of members.
func CanonicalJSON(payload []byte) ([]byte, error) {
	value := jsontext.Value(bytes.Clone(payload))
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("daybook: payload: %w", err)
	}
	return value, nil
}

// encodeJSON turns a registered value into the payload that is stored.
func encodeJSON(value any) ([]byte, error) {
	payload, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return nil, invalid("payload", "%v", err)
	}
	if err := checkIJSON(payload); err != nil {
		return nil, err
	}
	return payload, nil
}

// checkIJSON refuses JSON that some engine or reader would change: integers
// beyond ±(2^53−1), numbers no float64 holds, and U+0000, which PostgreSQL cannot
// store. Duplicate names, invalid UTF-8 and excessive depth are refused by the decoder.
func checkIJSON(payload []byte) error {
	if len(payload) == 0 || payload[0] != '{' {
		return invalid("payload", "must be a JSON object, so that it can grow members: make the event a struct")
	}
	if isPlain(payload) {
		return nil
	}
	return checkTokens("payload", payload, true)
}

// checkTokens is checkIJSON for any value, by its tokens. field names it; numbers says that
// they must be exact for every reader, and not only for the program that has written them.
func checkTokens(field string, payload []byte, numbers bool) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(payload))
	for {
		token, err := decoder.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return invalid(field, "%v", err)
		case token.Kind() == '0' && numbers:
			if number := token.String(); !exactNumber(number) {
				return invalid(field+string(decoder.StackPointer()), "the number %s cannot be kept exactly by every reader of JSON: stay within ±(2^53−1) or use a string", number)
			}
		case token.Kind() == '"' && strings.Contains(token.String(), "\x00"):
			return invalid(field+string(decoder.StackPointer()), "text may not contain U+0000")
		}
	}
}

// isPlain reports whether payload, which an encoder has made, can hold nothing that
// checkIJSON refuses: no number of 16 digits or with an exponent, and no escape that could
// be U+0000. It looks at bytes, so it may say no without need; every event is written
// through it, and nearly every one is plain.
func isPlain(payload []byte) bool {
	if bytes.IndexByte(payload, '\\') >= 0 {
		return false
	}
	for { // without escapes, text is from one quotation mark to the next
		values, text, found := bytes.Cut(payload, quotationMark)
		if !hasPlainNumbers(values) {
			return false
		}
		if !found {
			return true
		}
		if _, payload, found = bytes.Cut(text, quotationMark); !found {
			return false
		}
	}
}

var quotationMark = []byte{'"'}

// hasPlainNumbers reports whether JSON without text has no number of 16 digits, those of
// its fraction among them, or with an exponent.
func hasPlainNumbers(values []byte) bool {
	digits := 0
	for _, c := range values {
		switch {
		case '0' <= c && c <= '9':
			if digits++; digits == len("9007199254740991") {
				return false
			}
		case digits > 0 && (c == 'e' || c == 'E'):
			return false
		case c != '.':
			digits = 0
		}
	}
	return true
}

// exactNumber reports whether number is a fraction a float64 can hold or an
// integer within ±maxInteger.
func exactNumber(number string) bool {
	if integer, err := strconv.ParseInt(number, 10, 64); err == nil {
		return -maxInteger <= integer && integer <= maxInteger
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value < -maxInteger || value > maxInteger {
		return false
	}
	digits, _, _ := strings.Cut(strings.ToLower(number), "e")
	return value != 0 || strings.Trim(digits, "-0.") == "" // or it is too small for a float64
}

// jsonDecoder returns a function that turns a stored payload into a T. It is strict
// where encoding/json is lenient, because a member that is dropped or zeroed in
// silence is a lost fact.
func jsonDecoder[T any]() func(payload []byte) (any, error) {
	t := reflect.TypeFor[T]()
	required, nested := requiredMembers(t), isNested(t)
	return func(payload []byte) (any, error) { return decodeJSON[T](payload, required, nested) }
}

func decodeJSON[T any](payload []byte, required []string, nested bool) (value T, err error) {
	if err = json.Unmarshal(payload, &value, json.RejectUnknownMembers(true)); err != nil {
		return value, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	if err = checkMembers(payload, required); err != nil {
		return value, err
	}
	if !nested && !bytes.Contains(payload, []byte("null")) {
		return value, nil
	}
	// The decoder takes null for any Go type, and a missing member within a member,
	// and leaves the zero value: an amount of null would become 0. What T can hold
	// comes back when it is encoded.
	again, err := json.Marshal(value)
	if err != nil {
		return value, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	return value, checkSameShape(payload, again)
}

// checkText refuses text that not every engine can store.
func checkText(field, text string) error {
	if !utf8.ValidString(text) {
		return invalid(field, "%s is not valid UTF-8", quote(text))
	}
	if strings.Contains(text, "\x00") {
		return invalid(field, "%s contains U+0000, which cannot be stored", quote(text))
	}
	return nil
}
