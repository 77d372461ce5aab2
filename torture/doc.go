// Package torture tries to break a book: writers at work on it while the world
// around them fails, and one checker that afterwards holds everybody to his word.
//
// There are four things to know. An [Order] is an append that somebody wants. A
// [Workload] is many writers who place orders, and note in a journal what they ask
// before they ask it, and what they are told. A [Follower] notes what a reader sees
// meanwhile. [Check] takes the [History] of the journals, the sights and the book,
// settles what was left unknown, and says which promise does not hold.
//
// The faults are the caller's: the tests of this package kill servers and
// processes, cut connections and fill disks; daybank torture does what a client can.
package torture
