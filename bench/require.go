package bench

import "fmt"

// metric is something that is measured in every round.
type metric string

const (
	rate    metric = "events/s"
	elapsed metric = "time per event"
	cpu     metric = "CPU per event"
	p50     metric = "p50"
	p99     metric = "p99"
	worst   metric = "worst"
	memory  metric = "resident memory"
)

// requirement is what a line must reach, compared with another in the same round,
// or by itself where there is no other.
type requirement struct {
	metric      metric
	of, against string
	limit       float64
	least       bool // or at most
}

func atLeast[T ~string](limit float64, m metric, of string, against T) requirement {
	return requirement{metric: m, of: of, against: string(against), limit: limit, least: true}
}

func atMost[T ~string](limit float64, m metric, of string, against T) requirement {
	return requirement{metric: m, of: of, against: string(against), limit: limit}
}

// of returns the metric's value in s; ok is false where it was not measured.
func (m metric) of(s sample) (value float64, ok bool) {
	switch m {
	case rate:
		return s.rate(), true
	case elapsed:
		return s.perEvent(s.Elapsed), true
	case cpu:
		return s.perEvent(s.Client + s.Server), s.Seen
	case p50, p99, worst:
		percent := map[metric]float64{p50: 50, p99: 99, worst: 100}[m]
		return float64(s.Latency.at(percent).Microseconds()), true
	case memory:
		return float64(s.PeakRSS), s.PeakRSS > 0
	}
	return 0, false
}

// judge works out what was reached: the median over the rounds, and of what is bounded
// and not compared, the most.
func (r requirement) judge(samples lines) Requirement {
	out := Requirement{What: r.String(), Limit: r.limit, Outcome: NotMeasured}
	if r.against == "" {
		out.bounded = r.metric
	}
	var values []float64
	for i, own := range samples.of(r.of) {
		value, ok := r.metric.of(own)
		if ok && r.against != "" {
			var base float64
			base, ok = r.metric.of(samples.of(r.against)[i])
			value, ok = value/base, ok && base > 0
		}
		if !ok {
			return out
		}
		values = append(values, value)
	}
	out.Reached = spread(values)
	reached := out.Reached.Median
	if r.against == "" {
		reached = out.Reached.Max
	}
	out.Outcome = Failed
	if r.least && reached >= r.limit || !r.least && reached <= r.limit {
		out.Outcome = Passed
	}
	return out
}

// String says what must be reached, as in "events/s of daybook ≥ 4 × plain".
func (r requirement) String() string {
	sign := "≤"
	if r.least {
		sign = "≥"
	}
	if r.against == "" {
		return fmt.Sprintf("%s of %s %s %s", r.metric, r.of, sign, r.metric.text(r.limit))
	}
	return fmt.Sprintf("%s of %s %s %g × %s", r.metric, r.of, sign, r.limit, r.against)
}

// text says a value of what is bounded by itself: bytes, or microseconds.
func (m metric) text(value float64) string {
	if m == memory {
		return megabytes(value)
	}
	return milliseconds(value) + " ms"
}

// megabytes says a number of bytes.
func megabytes(bytes float64) string { return fmt.Sprintf("%.0f MB", bytes/1e6) }
