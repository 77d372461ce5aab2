package daybook

import (
	"strconv"
	"time"
)

// Option is one of [Key], [IfAt] and [Stamp], for Execute, ExecuteAll and Update.
type Option interface{ set(*options) }

type options struct {
	key   string
	keyed bool
	ifAt  *int64
	stamp Stamp
}

type keyOption string

// Key makes the call happen once, however often it is made: a repetition returns
// the original result and writes nothing. The key's scope is the book. A command
// that was refused, or caused no events, leaves its key free. The same key with a
// command that would have caused other events is [ErrKeyReused]. A key has 1 to
// [MaxKeyBytes] bytes.
func Key(key string) Option { return keyOption(key) }

func (k keyOption) set(o *options) { o.key, o.keyed = string(k), true }

type ifAtOption int64

// IfAt runs the command only if the aggregate is at sequence number n, and
// otherwise returns a [*ConflictError]. In ExecuteAll it speaks of the first
// command's aggregate. A key is looked at first.
func IfAt(n int64) Option { return ifAtOption(n) }

func (n ifAtOption) set(o *options) { o.ifAt = new(int64(n)) }

// Stamp says what is to be known about the events a command causes.
type Stamp struct {
	Metadata Metadata
	// OccurredAt is when they happened in the world; zero: when they are recorded.
	OccurredAt time.Time
}

func (s Stamp) set(o *options) { o.stamp = s }

func gather(opts []Option) (options, error) {
	var o options
	for _, opt := range opts {
		opt.set(&o)
	}
	if o.keyed {
		if o.key == "" {
			return o, invalid("key", "is empty: give the text that identifies the request, or no key")
		}
		if len(o.key) > MaxKeyBytes {
			return o, &TooLargeError{"bytes of key", MaxKeyBytes, int64(len(o.key))}
		}
		if err := checkText("key", o.key); err != nil {
			return o, err
		}
	}
	if o.ifAt != nil && *o.ifAt < 0 {
		return o, invalid("expected", "%d is no sequence number: use 0 (no events) or more", *o.ifAt)
	}
	var err error
	o.stamp.OccurredAt, err = normalTime("stamp.occurred_at", o.stamp.OccurredAt)
	return o, err
}

// keyNamespace is where event ids are derived from idempotency keys. Changing it
// would forget every key ever used.
var keyNamespace = UUID{0x5b, 0x1f, 0x62, 0x9e, 0x3a, 0x5c, 0x4d, 0x0e, 0x9b, 0x27, 0xd4, 0x61, 0x0c, 0xe8, 0xf3, 0x75}

// eventID is the id of event i, from 0, that a call causes: derived from its key,
// or new.
func (o options) eventID(i int) UUID {
	if !o.keyed {
		return NewUUID()
	}
	return keyNamespace.Derive(strconv.Itoa(i) + ":" + o.key)
}
