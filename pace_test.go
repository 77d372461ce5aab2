package daybook

import (
	"testing"
	"time"
)

// crowd is 64 callers, who take so long to come back with their appends, and an engine that
// takes so long for a batch and for each append in it.
type crowd struct{ back, batch, append time.Duration }

// next is how many appends the next batch has, and how long it is until the one behind it.
func (c crowd) next(together bool) (n int, took time.Duration) {
	if together {
		return 64, c.back + c.batch + 64*c.append
	}
	return 32, max(c.batch+32*c.append, (c.back+c.batch+32*c.append)/2)
}

func TestPaceFindsTheBetterWay(t *testing.T) {
	t.Parallel()
	quick := crowd{back: 700 * time.Microsecond, batch: 300 * time.Microsecond, append: 15 * time.Microsecond}
	slow := crowd{back: 700 * time.Microsecond, batch: 1300 * time.Microsecond, append: 15 * time.Microsecond}
	remote := crowd{back: 2700 * time.Microsecond, batch: 300 * time.Microsecond, append: 15 * time.Microsecond}
	for name, test := range map[string]struct {
		crowds   []crowd // one after the other
		together bool    // is better in the last
	}{
		"a quick disk":                    {[]crowd{quick}, false},
		"a slow disk":                     {[]crowd{slow}, true},
		"a server that is far away":       {[]crowd{remote}, false},
		"a disk that becomes slow":        {[]crowd{quick, slow}, true},
		"a disk that is slow no more":     {[]crowd{slow, quick}, false},
		"a slow disk, with pauses":        {[]crowd{slow, {}, slow}, true},
		"pauses in one of the ways alone": {[]crowd{quick, {}, quick}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const batches = 50 * paceBatches
			var p pace
			at := time.Unix(0, 0)
			well := 0
			for i, c := range test.crowds {
				well = 0
				for range batches {
					if c == (crowd{}) { // nobody is there, most of the time
						p.closed(1, at, false)
						at = at.Add(time.Second)
						continue
					}
					together := p.together
					n, took := c.next(together)
					p.closed(n, at, true)
					at = at.Add(took)
					if i == len(test.crowds)-1 && together == test.together {
						well++
					}
				}
			}
			want := batches * 9 / 10 // now and then it looks at the other way
			if len(test.crowds) > 1 {
				want = batches / 2 // it takes up to paceTurns turns to find out
			}
			if well < want {
				t.Errorf("of %d batches %d went the better way, want %d", batches, well, want)
			}
		})
	}
}
