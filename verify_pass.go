package daybook

import (
	"context"
	"encoding/binary"
	"math/bits"
)

// share is a part of all aggregates, and of all other keys: those whose hashes end in
// the bits of value.
type share struct {
	bits  int
	value uint64
}

// maxShareBits bounds how small a share gets, and so how many passes there may be: in
// the smallest shares more is kept than asked for.
const maxShareBits = 12

func (s share) has(hash uint64) bool { return hash&(1<<s.bits-1) == s.value }

// halves are the two shares that s consists of.
func (s share) halves() []share {
	return []share{{s.bits + 1, s.value}, {s.bits + 1, s.value | 1<<s.bits}}
}

// wider returns all shares of half the size of s.
func (s share) wider() []share {
	all := make([]share, 1<<(s.bits+1))
	for i := range all {
		all[i] = share{s.bits + 1, uint64(i)}
	}
	return all
}

func hashUUID(id UUID) uint64 {
	return mix(binary.BigEndian.Uint64(id[:8]) ^ bits.RotateLeft64(binary.BigEndian.Uint64(id[8:]), 29))
}

// hashText is FNV-1a, mixed.
func hashText(text string) uint64 {
	hash := uint64(14695981039346656037)
	for i := range len(text) {
		hash = (hash ^ uint64(text[i])) * 1099511628211
	}
	return mix(hash)
}

// mix is the last step of splitmix64: each bit of x changes half of the bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// reading is a pass, for all checks.
type reading struct {
	run    *verifying
	number int
	share  share
	looks  []Look // by check; nil where it does not look
	passes []*Pass

	index      map[UUID]int32
	aggregates []aggregate // by index
	held       int         // besides aggregates
	read       int64       // events
}

// aggregate is what is kept about each aggregate.
type aggregate struct {
	AggregateID
	sequence int64 // the highest so far
}

func (r *reading) owns(hash uint64) bool {
	return r.share.has(hash) && hash>>32%uint64(r.run.options.Sample) == 0 //nolint:gosec // Sample is at least 1
}

// full reports whether there is more in memory than there may be.
func (r *reading) full() bool {
	return len(r.aggregates)+r.held > r.run.options.MaxHeld && r.share.bits < maxShareBits
}

func (r *reading) begin(ctx context.Context) error {
	for i, check := range r.run.checks {
		p := &Pass{reading: r, result: CheckResult{Check: check.Name()}, pinned: r.run.pinned[i]}
		look, err := check.Begin(ctx, p)
		if err != nil {
			return r.run.failed(i, err)
		}
		r.passes, r.looks = append(r.passes, p), append(r.looks, look)
	}
	return nil
}

// events hands every event to every look, until the share is full.
func (r *reading) events(ctx context.Context, e *CheckedEvent) error {
	v := r.run
	if v.head.Position == 0 {
		return nil
	}
	defer func() { v.done += r.read }()
	for rec, err := range v.book.Read(ctx, Query{Aggregate: v.options.Aggregate, UntilPosition: v.head.Position}) {
		if err != nil {
			return err
		}
		e.Recorded, e.decoded, e.data, e.err = rec, false, nil, nil
		e.Own, e.Index = r.own(rec.Aggregate)
		for _, look := range r.looks {
			if look != nil {
				look.Event(e)
			}
		}
		if r.full() {
			return nil
		}
		if r.read++; r.read%progressEvents == 0 && v.options.Progress != nil {
			v.options.Progress(min(v.done+r.read, v.total), v.total)
		}
	}
	return nil
}

// own reports whether an aggregate is in the share, and under which index.
func (r *reading) own(id AggregateID) (bool, int) {
	if i, known := r.index[id.ID]; known {
		return true, int(i)
	}
	if r.run.options.Aggregate.IsZero() && !r.owns(hashUUID(id.ID)) {
		return false, -1
	}
	i := len(r.aggregates)
	r.index[id.ID] = int32(i) //nolint:gosec // bounded by MaxHeld, or by memory
	r.aggregates = append(r.aggregates, aggregate{AggregateID: id})
	return true, i
}

// accept makes what the pass has found part of the verification.
func (r *reading) accept() {
	v := r.run
	v.out.Passes++
	v.out.Aggregates += int64(len(r.aggregates))
	if r.number == 1 {
		v.out.Events = r.read
	}
	for i, p := range r.passes {
		total := &v.out.Checks[i]
		total.Looked += p.result.Looked
		total.Ignored += p.result.Ignored
		total.Findings += p.result.Findings
		if p.result.What != "" {
			total.What = p.result.What
		}
		if p.result.Skipped != "" {
			total.Skipped = p.result.Skipped
		}
		v.found[i] = firstFindings(v.options.MaxFindings, append(v.found[i], p.findings...))
	}
}
