package daybook

import "time"

const (
	// paceBatches is how many batches a way has for its turn.
	paceBatches = 100
	// paceTurns is after how many turns of one way the other one is tried again.
	paceTurns = 20
	// paceGain is how much better the other way must be: less is chance.
	paceGain = 1.05
)

// pace finds out whether batches had better go ahead. They hide what callers take to come
// back behind what the engine takes, and cost it twice what it takes for a batch whatever its
// size: above all a flush of the disk, which is a tenth of a millisecond here and two there. Neither
// is known. So both ways have a turn, the one in which more appends get done goes on, and the
// other is tried again from time to time.
type pace struct {
	together bool       // all callers in one batch, and the next one when it is answered
	trial    bool       // this turn is to look whether the way that was worse still is
	rates    [2]float64 // appends per second in the last turn of going ahead, and of together
	left     int        // turns until the other way is tried

	// Of this turn:
	batches, appends int
	busy             time.Duration
	last             time.Time // when the last batch was closed; zero where there was no crowd then
}

// closed notes that a batch of n appends is closed. Time counts only while there is a crowd:
// who has nothing to do is not slow.
func (p *pace) closed(n int, at time.Time, crowd bool) {
	if !crowd {
		p.last = time.Time{}
		return
	}
	if !p.last.IsZero() {
		p.batches, p.appends, p.busy = p.batches+1, p.appends+n, p.busy+at.Sub(p.last)
	}
	p.last = at
	if p.batches == paceBatches && p.busy > 0 {
		p.turn()
	}
}

// turn ends a turn, and says which way has the next one.
func (p *pace) turn() {
	own, other := 0, 1
	if p.together {
		own, other = 1, 0
	}
	p.rates[own] = float64(p.appends) / p.busy.Seconds()
	p.batches, p.appends, p.busy = 0, 0, 0
	changes := false
	switch p.left--; {
	case p.trial:
		changes = p.rates[own] < paceGain*p.rates[other]
		p.trial, p.left = false, paceTurns
	case p.left <= 0:
		changes, p.trial = true, true
	}
	if changes {
		p.together = !p.together
		p.last = time.Time{} // what is under way goes the way before
	}
}
