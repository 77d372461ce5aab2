// Package daybook keeps a book of events: what happened, in order, for ever.
//
// There are five things to know. An [Event] is something that happened. An
// [AggregateID] names what it happened to. A [Book] writes events down and reads
// them back. A [Decider] says what may happen next, and a [Repository] joins the
// two: it loads an aggregate by replaying its events, decides, and appends. A [View]
// turns what happened into a table that is easy to ask.
//
// Nothing is ever changed or removed; everything else here follows from that.
//
// # Order
//
// Every event has two numbers without holes: its sequence number within its
// aggregate, which a writer's expectation is checked against, and its position
// within the book, in commit order. Once a reader has seen position p, nothing at
// or below p will ever appear, so a reader remembers one number and needs no gap
// detection.
//
// # Time
//
// Recorded-at is the store's clock and never decreases along positions: "as of
// 10:00" is a prefix of the book. Occurred-at is the caller's and may lie in the
// past; it never affects order.
//
// # Once
//
// Every append ends in one of three ways: done, refused with an error that names
// the field and the fix, or unknown, only while the database stays out of reach or
// where the caller gives up in the middle of a commit. Appending the same events
// under the same ids again always settles it and returns the original records. [Key]
// does this for commands.
//
// Appends that are made at the same time share a transaction, each with its own
// outcome: many callers are faster than one.
//
// # Read models
//
// A [View] is two pure functions: which rows does an event touch, and what becomes of
// each. Declared [Inline] it is written in the append's own transaction, so that whoever
// sees an event sees its row. Run behind the book by [Book.Run] it costs appends nothing,
// takes every event exactly once, and [Book.WaitFor] waits for one. A view that was
// changed is made anew beside the live one, proved, and switched to at once; it can be
// asked about any moment of the past ([View.At]), and be held against the events
// ([View.Check]). A [Projection] is the same in hand-written SQL. A [Subscription] is for
// effects outside of the database, which happen at least once.
//
// # Snapshots
//
// A repository made with [Snapshots] keeps states along each aggregate, so that loads,
// of the present or the past, fold a few events. They are a cache that is never
// believed: they change no answer.
//
// # Engines
//
// The packages postgres and sqlite implement [Driver] with the same promises, held
// by one suite of tests, daybooktest.Driver.
package daybook
