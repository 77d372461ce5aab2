package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what was measured of one contender in one round. It travels between
// processes, so its fields are exported.
type sample struct {
	// Contender names the line of the report that the sample belongs to.
	Contender string
	Events    int64
	Elapsed   time.Duration
	// Latency is of whole calls, whatever their number of events.
	Latency *latencies
	// Client is the CPU time of all processes that take part besides the server;
	// Server the server's, where it was Seen.
	Client, Server time.Duration
	Seen           bool
	// Retries counts decisions that were made again after a lost race.
	Retries int64
	// PeakRSS is the most memory, in bytes, that a process which does nothing else
	// had resident; 0 where it was not looked at.
	PeakRSS int64
}

// rate is events per second.
func (s sample) rate() float64 { return float64(s.Events) / s.Elapsed.Seconds() }

// perEvent is d per event in microseconds.
func (s sample) perEvent(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond) / float64(max(s.Events, 1))
}

// merge adds what another process measured at the same time.
func (s *sample) merge(other sample) {
	s.Events += other.Events
	s.Elapsed = max(s.Elapsed, other.Elapsed)
	s.Client += other.Client
	s.Retries += other.Retries
	s.Latency.merge(other.Latency)
}

const (
	// maxLatency bounds what can be told apart; what takes longer counts as that.
	maxLatency = time.Minute
	// latencyDigits is how exact latencies are kept: to 1 %. One more digit would
	// take eight times the memory, for every caller.
	latencyDigits = 2
)

// latencies gathers how long calls took, in microseconds.
type latencies struct{ counts *hdrhistogram.Histogram }

func newLatencies() *latencies {
	return &latencies{hdrhistogram.New(1, maxLatency.Microseconds(), latencyDigits)}
}

func (l *latencies) add(d time.Duration) {
	// Within the bounds, so that the only error does not arise.
	_ = l.counts.RecordValue(min(max(d, time.Microsecond), maxLatency).Microseconds())
}

func (l *latencies) merge(other *latencies) {
	if other != nil {
		l.counts.Merge(other.counts) // of the same bounds, so nothing is dropped
	}
}

// at returns the latency that so many percent of the calls did not exceed.
func (l *latencies) at(percent float64) time.Duration {
	return time.Duration(l.counts.ValueAtPercentile(percent)) * time.Microsecond
}

// GobEncode lets a histogram travel between processes.
func (l *latencies) GobEncode() ([]byte, error) { return l.counts.EncodeV2() }

// GobDecode reads what GobEncode wrote.
func (l *latencies) GobDecode(data []byte) (err error) {
	l.counts, err = hdrhistogram.Decode(data)
	return err
}
