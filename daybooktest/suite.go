// Package daybooktest holds the promises of daybook as tests: [Driver] for the
// authors of engines, [Given] for those of deciders, [Golden] for whoever changes
// the shape of an event, and [Follow] for any log that claims to lose nothing.
package daybooktest

import (
	"context"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// Opener opens one more handle on one and the same database, as another process
// would. Who asked closes it.
type Opener func(t testing.TB) daybook.Driver

// Driver holds an engine to the promises of a book, one sub-test each, named after
// the numbers of the promises. fresh makes a migrated, empty database and says how
// to open it; it is called a few times, and cleans up after itself when the t it
// got ends.
//
// Every check works in books of its own, on a database that others have used. Some count
// goroutines, so do not call t.Parallel before: those run first and one by one, the
// others at the same time.
//
// Under "go test -short" the same checks run with fewer repetitions.
func Driver(t *testing.T, fresh func(t testing.TB) Opener) {
	t.Helper()
	for _, c := range aloneChecks {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
	// Checks that run at the same time do not share a database: the racers of one
	// would slow down those of the other.
	free := make(chan [2]daybook.Driver, runtime.GOMAXPROCS(0))
	for range cap(free) {
		open := fresh(t)
		free <- [2]daybook.Driver{opened(t, open), opened(t, open)}
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			drivers := <-free
			defer func() { free <- drivers }()
			c.hold(t, drivers[0], drivers[1])
		})
	}
}

// opened opens a handle that is closed when t ends.
func opened(t testing.TB, open Opener) daybook.Driver {
	t.Helper()
	driver := open(t)
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return driver
}

// TB is what a check needs of a test. [testing.T] has it, and so has [rapid.T]; the
// tests of this package have one that takes note of failures instead, and so can
// show that a faulty engine fails.
type TB interface {
	rapid.TB
	Context() context.Context
	Cleanup(func())
}

// check is one promise, held in a book of its own.
type check struct {
	name string
	run  func(*scene)
}

// hold runs c through two handles on one database, and audits the book afterwards.
func (c check) hold(t TB, one, two daybook.Driver) {
	t.Helper()
	s := newScene(t, one, two)
	c.run(s)
	s.audit()
}

// aloneCheck is a promise about the handles themselves. It runs while nothing else
// does.
type aloneCheck struct {
	name string
	run  func(*testing.T, Opener)
}

// checks are the promises, in the order of the files they are in.
var checks = []check{
	{"I4 and I5: events are numbered 1, 2, 3 in their aggregate and in the book", numbersAreDense},
	{"I8: every expectation holds exactly where it should", expectationsHold},
	{"I8: one id belongs to one type of aggregate", oneTypePerID},
	{"I2: a retry returns the original records and writes nothing", retryReturnsOriginals},
	{"I2: ids are looked at before the expected number", idsBeforeExpected},
	{"I2: other content under the same id is refused", otherContentIsRefused},
	{"I2: an append of which only a part is known is refused", partlyKnownIsRefused},
	{"I2: a failed append leaves its ids free", failureLeavesIDsFree},
	{"I9: several aggregates are written together or not at all", allOrNothing},
	{"I9: every append of a batch has its own outcome and sees those before it", batchOutcomes},
	{"I2: a batch may repeat itself", batchRepeatsItself},
	{"I9: a batch that is empty or refused writes nothing", batchOfNothing},
	{"I8: an append may rest on an event and not on another in its place", restsOnAnEvent},
	{"I9: an append may depend on an aggregate that it does not write to", guardsAreKept},
	{"books know nothing of each other", booksAreApart},
	{"opening a book at once from everywhere makes one book", oneBookPerName},

	{"I8: of 32 writers with one expectation exactly one wins each round", oneWinnerEachRound},
	{"I8: an aggregate opened 32 times at once is opened once", openedOnce},
	{"I2: one append made 32 times at once is recorded once", recordedOnce},
	{"I1: racing commands are all recorded, each once", everyCommandOnce},
	{"I8: every decision rests on the state it was recorded behind", decisionsRestOnStates},
	{"I2: one key used 32 times at once is one command with 32 equal results", oneKeyOneResult},
	{"I9: appends on the same aggregates in opposite orders do not block each other", oppositeOrders},
	{"I8: histories of racing appends are linearizable", linearizable},

	{"I6: a follower sees every event once and in order while others write", followerSeesAll},
	{"I6: a log that numbers before it commits loses events for the same follower", controlLosesEvents},
	{"I6 and I9: every snapshot holds whole appends from position 1 to the head", snapshotsAreWhole},
	{"I7: an append begun after another was acknowledged comes after it", realTimeOrder},

	{"I19: filtered and paged reads equal a filter over the whole", readsEqualFilter},
	{"I19: every page size gives the same events", everyPageSize},
	{"I19: a reader may append inside its loop, and the loop ends", appendInsideLoop},
	{"I19: a reader that breaks off leaves nothing behind", breakingOff},
	{"I19: a follower filters, and stops at its limit", followerFilters},
	{"I1: every recorded event is found by its id, and no other", lookupFinds},

	{"I14 and I15: the state at every point is the fold of a prefix", everyPoint},
	{"I14: points beyond the last event are refused, never clamped", beyondTheEnd},
	{"I15: what the book knew at a time in the future is the present, and says so", asOfTheFuture},
	{"I15: what the book knew at a time is the same for ever, while others write", asOfIsStable},
	{"I15: nothing is recorded at or before a fence beyond it", fenceHolds},
	{"I15: a fence in the future moves no clock", fenceInTheFuture},
	{"I15: a fence in an empty book holds", fenceInAnEmptyBook},
	{"I15: the events of an append share one recorded time, and a later append has a later one", recordedTimes},
	{"I16: occurred times are kept in UTC to the microsecond and never affect the order", occurredTimes},
	{"I16: occurred times beyond the years 1000 to 8999 are refused", occurredTimesOutOfRange},

	{"I13, I14, I15 and I16: with snapshots of every age, the state at every point is the fold of its events", agedSnapshots},
	{"I13: an aggregate is resumed from the newest snapshot within the bounds, without a hole", snapshotsResume},
	{"I13: snapshots are listed and dropped by their keys", snapshotsListed},
	{"I13: writers of the same snapshots do not stand in each other's way", snapshotsReplaced},
	{"I13: the snapshots of one book are not those of another", snapshotsApart},

	{"I22: what cannot be decoded fails loudly and can be read raw", undecodable},
	{"I21: upcasting gives the same value every time and stored bytes never change", upcasting},
	{"I21: an upcaster that panics is an error with the place", panickingUpcaster},
	{"payloads come back as the same JSON", payloadsAreKept},
	{"payloads nested as deep as they may be come back", deepPayloads},
	{"metadata comes back as it was", metadataIsKept},
	{"payloads that not every reader of JSON keeps are refused", payloadsRefused},
	{"as many events as one append may have, and one more", eventsPerAppend},
	{"as many bytes as one event may have, and one more", bytesPerEvent},
	{"as many bytes as one append may have, and one more", bytesPerAppend},
	{"appends that make no sense are refused by name of the field", badAppends},

	{"rows come back as they were written, over each other too", rowsComeBack},
	{"rows are written and loaded however many there are", manyRows},
	{"a table has a name that nothing else has", tablesHaveOneName},
	{"NaN is no number", notANumber},
	{"columns are not read as other types", otherTypes},
	{"I19: selected rows equal a filter over all, and text is ordered by its bytes", selectingAgrees},
	{"I19: pages of rows of every size hold every row once, in both directions", pagesOfRows},

	{"I11: a checkpoint is written only over the revision that was read", checkpointsAreKept},
	{"I11: of transactions that write one revision of a checkpoint exactly one does", oneCheckpointWins},
	{"I11: of transactions that make the same checkpoint one has made it, and the others are told", oneFirstCheckpointWins},
	{"I18: a projection has at most one live and one building generation", oneLiveOneBuilding},
	{"I12: what a projection passes over is kept", skipsAreKept},
	{"the projections of one book are not those of another", projectionsApart},

	{"I11: a transaction is kept whole or not at all", transactionsAreWhole},
	{"a transaction sees its own writes, and nobody else does", transactionsSeeThemselves},
	{"hand-written SQL is part of its transaction", handwrittenRows},
	{"I18: nothing is appended while the head is locked", lockedHead},
	{"I18: a name that is switched stands for one table or the other", namesSwitch},
	{"I11: a pin shows one snapshot while others write", pinsAreSnapshots},

	{"I10: at every moment the read model is the fold of the events in it", inlineSnapshots},
	{"I10: an append of which a projection fails is not written", inlineErrors},
	{"I10: projections get the events that are new, once", inlineSeesWhatIsNew},
	{"I10: an append for other inline projections than those of the book is refused", inlineRevisions},
	{"I10: hand-written SQL is part of the append, and sees the folded rows", inlineByHand},

	{"a book is proved while others write to it", provedWhileOthersWrite},
	{"a book of many aggregates is proved in several passes", provedInPasses},

	{"I27: random appends and reads agree with a plain slice", agreesWithModel},

	{"I3: a cancelled context writes nothing and says so", cancelledBefore},
	{"I3: an append cancelled half way is recorded if and only if it says so", cancelledHalfWay},
	{"a writer that waits for others can be cancelled", cancelledInLine},

	{"I10: at every moment inline read models equal the fold of the events", inlineEqualsFold},
	{"I10: inline read models equal the fold whoever has appended before", inlineInTurns},
	{"I10: a projection that fails refuses one append, and no other", inlineRefuses},
	{"I10: a row that the database refuses costs its own append only", databaseRefuses},
	{"I10: the same projection runs behind and inline", inlineAndBehind},
	{"I10: a program appends only with the inline projections of the book", inlineIsDeclared},

	{"I11: runners that take turns give the tables of one clean run", runnersTakeTurns},
	{"I11: a runner that wakes up too late has no effect", wokenTooLate},
	{"I11: what somebody works on can be paused, copied and rebuilt", changedWhileRunning},
	{"I12: an event that a projection cannot take stops that one, until it can", poisonStopsOne},
	{"I12: an event that is passed over is, in every rebuild too", skipsArePassed},
	{"I12: a subscription delivers every event, in order", deliveredInOrder},
	{"I12: a subscription with several workers keeps the order of each part", deliveredInParts},
	{"I12: a subscription that wants other events goes on where it is", deliveredOthers},
	{"I12: a subscription that gives up an event records that", deadLetters},

	{"I17: a rebuild equals the live read model, twice, and there is a way back", rebuiltEqualsLive},
	{"I18: during a rebuild readers see the old one or the new one", readersDuringRebuilds},
	{"I18: a rebuild that was called off is taken up or leaves no trace", rebuildsCalledOff},
	{"I18: of two rebuilds at once one is told that the other is at it", twoRebuilds},
	{"I18: a rebuild that wakes up too late has no effect", rebuildTakenOver},
	{"I18: what is declared otherwise is made anew, unless that waits for a command", changedDeclarations},

	{"I14, I15 and I16: a view at every point is the fold of the events up to it, with copies and without", pastViews},
	{"who waits for a projection reads his own writes", ownWrites},
	{"I11: books in one database each have tables of a projection by hand", byHandInTwoBooks},
	{"I18: a projection by hand is dropped with all that it has made", byHandIsDropped},
	{"I18: a view and a projection by hand do not take each other's name", namesAreOfOneSort},
	{"who runs a projection can wait for it before it is made", waitsForTheFirst},
	{"I17: rows of every kind of column agree with a map", rowsOfAnyKind},
}

// aloneChecks are about what a handle leaves behind.
var aloneChecks = []aloneCheck{
	{"breaking off, cancelling and closing leave no goroutine", leaveNoGoroutine},
	{"calls on a closed handle fail and hurt nobody", closedHandle},
	{"I1: what was acknowledged is there for the next process", nextProcess},
}
