package daybook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// RepositoryOption is an option of [NewRepository]: [Snapshots].
type RepositoryOption interface{ setRepository(*repositoryOptions) }

type repositoryOptions struct{ snapshots *Snapshots }

// Snapshots makes a repository keep states, so that loading an aggregate, now or at
// any point of its past, folds a few events and not all. They never change an answer:
// one of another fold, or that is not as it was written, is not used.
//
// They are written in the background, by a goroutine that ends when nothing waits,
// after the append whose events they hold: no command waits for one or fails by one.
// [Repository.Flush] waits for what is under way.
type Snapshots struct {
	// Every is the distance: an aggregate has a snapshot at each multiple of it. 0
	// means 50.
	Every int
	// Thin, where set, thins out the old: the newest Thin snapshots of an aggregate are
	// kept, and of the older ones those at multiples of ten times Every. 0 keeps all.
	Thin int
	// CheckOneIn is the sample: of so many loads that use a snapshot, one is compared
	// with a full replay, by chance. 1 checks all, below 0 none. 0 means 1,000.
	CheckOneIn int
	// Report, where set, is told what goes wrong behind the callers' backs: a corrupt
	// snapshot, a state that JSON does not carry, an engine that cannot write. It is
	// called by several goroutines, and must not take long.
	Report func(error)
}

func (s Snapshots) setRepository(o *repositoryOptions) { o.snapshots = &s }

const (
	defaultEvery      = 50
	defaultCheckOneIn = 1_000
	// thinStep is how many times Every the distance is among the old.
	thinStep = 10
	// maxEvery bounds Every and Thin: no aggregate has as many events, and what is worked
	// out from the two does not overflow.
	maxEvery = 1 << 28
)

// SnapshotStats counts what has become of snapshots since the repository was made.
type SnapshotStats struct {
	// Used are loads that began with a snapshot, Checked those of them that were
	// compared with a full replay, Differed those of the latter that were wrong. After
	// the first of these the repository uses snapshots no more.
	Used, Checked, Differed int64
	// OtherFold are aggregates that had snapshots of other folds only.
	OtherFold int64
	// Corrupt are snapshots that were not as they had been written.
	Corrupt int64
	// Written are snapshots, Failed those that could not be made or written, Dropped
	// aggregates that were passed over because too many waited.
	Written, Failed, Dropped int64
}

// keeping is what a repository with [Snapshots] has besides.
type keeping struct {
	Snapshots
	fold       Fold
	distrusted atomic.Bool // a check has found a snapshot that lies

	used, checked, differed, otherFold, corrupted, written, failed, dropped atomic.Int64

	mu      sync.Mutex
	waiting map[AggregateID]int64 // up to which number snapshots are wanted
	tried   map[AggregateID]int64 // up to which they have been tried
	unsound []Snapshot            // to be removed
	ended   chan struct{}         // closed when the writer ends; nil where none runs
	hurried int                   // who waits for the writer
	hurry   chan struct{}         // has a token when somebody has come to wait
}

const (
	// maxWaiting bounds the aggregates that wait, and the corrupt snapshots.
	maxWaiting = 1_000
	// keepPause is how long the writer lets work gather: most of what a snapshot costs
	// is there once for all that are made at a time.
	keepPause = 50 * time.Millisecond
	// maxTried bounds the memory of what was tried; beyond it is forgotten.
	maxTried = 10_000
)

func newKeeping(s Snapshots, fold Fold) *keeping {
	if s.Every < 0 || s.Thin < 0 {
		panic(fmt.Sprintf("daybook.NewRepository: Snapshots{Every: %d, Thin: %d}: use 0 for the default, or more", s.Every, s.Thin))
	}
	if s.Every == 0 {
		s.Every = defaultEvery
	}
	if s.CheckOneIn == 0 {
		s.CheckOneIn = defaultCheckOneIn
	}
	s.Every, s.Thin = min(s.Every, maxEvery), min(s.Thin, maxEvery)
	return &keeping{Snapshots: s, fold: fold, waiting: map[AggregateID]int64{}, tried: map[AggregateID]int64{}, hurry: make(chan struct{}, 1)}
}

func (k *keeping) every() int64 { return int64(k.Every) }

// multiple is the last multiple of Every up to number.
func (k *keeping) multiple(number int64) int64 { return number - number%k.every() }

// chosen says whether this load is one to be checked.
func (k *keeping) chosen() bool {
	return k.CheckOneIn > 0 && rand.IntN(k.CheckOneIn) == 0 //nolint:gosec // a sample, not a secret
}

func (k *keeping) report(err error) {
	if k.Report != nil {
		k.Report(err)
	}
}

// ask notes that the aggregate has come to number, and reports whether a writer is to
// be started. What has been tried is not tried again, or an aggregate whose states
// cannot be kept would be folded for every load.
func (k *keeping) ask(id AggregateID, number int64) (start bool) {
	wanted := k.multiple(number)
	k.mu.Lock()
	defer k.mu.Unlock()
	if wanted == 0 || k.tried[id] >= wanted || k.distrusted.Load() {
		return false
	}
	if _, waits := k.waiting[id]; !waits && len(k.waiting) >= maxWaiting {
		k.dropped.Add(1)
		return false
	}
	k.waiting[id] = max(k.waiting[id], wanted)
	return k.startLocked()
}

// found notes a corrupt snapshot, and reports whether a writer is to be started, who
// removes it.
func (k *keeping) found(s Snapshot, fault error) (start bool) {
	k.corrupted.Add(1)
	k.report(fault)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tried, s.Aggregate) // there is something to be done again
	if len(k.unsound) >= maxWaiting {
		return false
	}
	k.unsound = append(k.unsound, s)
	return k.startLocked()
}

func (k *keeping) startLocked() (start bool) {
	if k.ended != nil {
		return false
	}
	k.ended = make(chan struct{})
	return true
}

// gather waits for a moment, unless somebody waits for the writer.
func (k *keeping) gather() {
	k.mu.Lock()
	hurried := k.hurried > 0
	k.mu.Unlock()
	if hurried {
		return
	}
	pause := time.NewTimer(keepPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-k.hurry:
	}
}

// wait waits until nothing waits and no writer runs, or ctx ends.
func (k *keeping) wait(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hurried++
	defer func() { k.hurried-- }()
	select {
	case k.hurry <- struct{}{}:
	default:
	}
	for k.ended != nil {
		ended := k.ended
		k.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		k.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// next takes from what waits. Where nothing does, there is no writer from then on.
func (k *keeping) next() (wanted map[AggregateID]int64, unsound []Snapshot, more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	unsound, k.unsound = k.unsound, nil
	wanted = map[AggregateID]int64{}
	for id, number := range k.waiting {
		if len(wanted) == keepAtOnce {
			break
		}
		wanted[id] = number
		delete(k.waiting, id)
		if len(k.tried) >= maxTried {
			clear(k.tried)
		}
		k.tried[id] = number
	}
	if len(wanted) > 0 || len(unsound) > 0 {
		return wanted, unsound, true
	}
	close(k.ended)
	k.ended = nil
	return nil, nil, false
}

func (k *keeping) stats() SnapshotStats {
	return SnapshotStats{
		Used: k.used.Load(), Checked: k.checked.Load(), Differed: k.differed.Load(), OtherFold: k.otherFold.Load(),
		Corrupt: k.corrupted.Load(), Written: k.written.Load(), Failed: k.failed.Load(), Dropped: k.dropped.Load(),
	}
}
