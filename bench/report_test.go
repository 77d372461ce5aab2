package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// made is a sample of n events in a second, each of them a call that took so long.
func made(contender string, n int64, latency time.Duration) sample {
	s := sample{
		Contender: contender, Events: n, Elapsed: time.Second, Latency: newLatencies(),
		Client: time.Duration(n) * time.Microsecond, Server: time.Duration(n) * 3 * time.Microsecond, Seen: true,
	}
	s.Latency.add(latency)
	return s
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	var samples lines
	// The machine gets ten times slower in the second round, and the ratio stays.
	for _, round := range [][]sample{
		{made("ours", 4000, time.Millisecond), made("base", 1000, 4*time.Millisecond)},
		{made("base", 100, 40*time.Millisecond), made("ours", 400, 10*time.Millisecond)},
		{made("ours", 3000, time.Millisecond), made("base", 1000, 2*time.Millisecond)},
	} {
		samples.add(round)
	}
	got := summarize(scenario{baseline: "base", must: []requirement{atLeast(4, rate, "ours", "base")}}, samples)
	ours := got.Lines[0]
	if diff := cmp.Diff(Spread{Median: 4, Min: 3, Max: 4}, ours.Ratio); diff != "" {
		t.Errorf("ratio (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Spread{Median: 3000, Min: 400, Max: 4000}, ours.EventsPerSecond); diff != "" {
		t.Errorf("events per second (-want +got):\n%s", diff)
	}
	if ours.Events != 7400 || ours.ClientCPU != 1 || ours.ServerCPU == nil || *ours.ServerCPU != 3 {
		t.Errorf("the line is %+v", ours)
	}
	if got.Must[0].Outcome != Passed {
		t.Errorf("the requirement is %+v", got.Must[0])
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	hidden := made("hidden", 1000, time.Millisecond)
	hidden.Seen = false
	big := made("big", 1, time.Millisecond)
	big.PeakRSS = 65e6
	samples := lines{{made("ours", 2000, time.Millisecond)}, {made("base", 1000, 4*time.Millisecond)}, {hidden}, {big}}
	for name, c := range map[string]struct {
		requirement requirement
		reached     float64
		outcome     Outcome
	}{
		"a rate that is reached":           {atLeast(2, rate, "ours", "base"), 2, Passed},
		"a rate that is missed":            {atLeast(2.1, rate, "ours", "base"), 2, Failed},
		"a time that is kept":              {atMost(0.5, elapsed, "ours", "base"), 0.5, Passed},
		"a time that is exceeded":          {atMost(1.25, elapsed, "base", "ours"), 2, Failed},
		"CPU time":                         {atMost(1, cpu, "ours", "base"), 1, Passed},
		"CPU time of a server that hides":  {atMost(1, cpu, "hidden", "base"), 0, NotMeasured},
		"a latency that is kept":           {atMost(0.4, p99, "ours", "base"), 0.25, Passed},
		"memory that is exceeded":          {atMost(64e6, memory, "big", ""), 65e6, Failed},
		"memory that nobody has looked at": {atMost(64e6, memory, "ours", ""), 0, NotMeasured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.requirement.judge(samples)
			if got.Outcome != c.outcome || got.Reached.Median < c.reached*0.98 || got.Reached.Median > c.reached*1.02 {
				t.Errorf("%s: %v is a %s, want %v and %s", got.What, got.Reached.Median, got.Outcome, c.reached, c.outcome)
			}
		})
	}
}
