package bench

import "slices"

// Report is what a run has measured and verified. As JSON it is the contract of
// docs/reference/json.md: members may be added, and are never renamed, removed or
// given another meaning.
type Report struct {
	// StartedAt is RFC 3339 in UTC.
	StartedAt      string  `json:"started_at"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	Machine        Machine `json:"machine"`
	// Versions are those of the engines that took part, by name.
	Versions map[string]string `json:"versions"`
	// Settings are the server's own, by name, as SHOW gives them; empty without one.
	Settings map[string]string `json:"settings"`
	Method   Method            `json:"method"`
	// Scenarios are in the order in which they ran.
	Scenarios []Scenario `json:"scenarios"`
}

// Machine is where this program runs. The server may run elsewhere.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Go     string `json:"go"`
	// LoadAverage is the number of processes that wanted a core in the minute before
	// the run: more than a few tenths is a machine that others use as well. -1 where
	// it is not known.
	LoadAverage float64 `json:"load_average"`
}

// Method is how it was measured.
type Method struct {
	Rounds        int     `json:"rounds"`
	SecondsATurn  float64 `json:"seconds_a_turn"`
	ReplayEvents  int     `json:"replay_events"`
	BookEvents    int     `json:"book_events"`
	PayloadBytes  int     `json:"payload_bytes"`
	MetadataBytes int     `json:"metadata_bytes"`
	// ServerCPU says that the server's processes could be seen.
	ServerCPU bool `json:"server_cpu"`
}

// Scenario is one question and what became of it.
type Scenario struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Baseline string `json:"baseline"`
	Lines    []Line `json:"lines"`
	// Must is what is promised of the scenario.
	Must []Requirement `json:"must"`
}

// Line is what was measured of one contender.
type Line struct {
	Contender string `json:"contender"`
	// Events were written or read, in all rounds.
	Events          int64  `json:"events"`
	EventsPerSecond Spread `json:"events_per_second"`
	// Ratio is that of the rates, to the baseline in the same round.
	Ratio Spread `json:"ratio"`
	// P50Microseconds and P99Microseconds are of whole calls, the median over the
	// rounds.
	P50Microseconds float64 `json:"p50_microseconds"`
	P99Microseconds float64 `json:"p99_microseconds"`
	// ClientCPU is in microseconds per event, the median over the rounds, of all
	// processes but the server. ServerCPU is null where there is no server, it cannot
	// be seen, or its work belongs to another line.
	ClientCPU float64  `json:"client_cpu_microseconds"`
	ServerCPU *float64 `json:"server_cpu_microseconds"`
	// Retries is how often a decision was made again after a lost race, per event.
	Retries float64 `json:"retries_per_event"`
	// PeakRSS is the most memory resident, in bytes, of a process that does nothing
	// else; 0 where it was not looked at.
	PeakRSS int64 `json:"peak_rss_bytes"`
}

// Spread is a value that was taken once a round.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Outcome is what became of a requirement.
type Outcome string

// The outcomes. What could not be seen is neither passed nor failed.
const (
	Passed      Outcome = "pass"
	Failed      Outcome = "fail"
	NotMeasured Outcome = "not measured"
)

// Requirement is one thing that must be reached.
type Requirement struct {
	// What says it in words, such as "events/s of daybook ≥ 4 × plain".
	What    string  `json:"what"`
	Limit   float64 `json:"limit"`
	Reached Spread  `json:"reached"`
	// Outcome compares Limit with the median that was reached; where What names no other
	// line, with the most.
	Outcome Outcome `json:"outcome"`

	bounded metric // what Limit bounds by itself, if it does
}

// lines are the samples of a scenario, by contender, in the order in which they
// first came; those of one contender in order of rounds.
type lines [][]sample

func (l *lines) add(samples []sample) {
	for _, s := range samples {
		i := slices.IndexFunc(*l, func(line []sample) bool { return line[0].Contender == s.Contender })
		if i < 0 {
			*l = append(*l, []sample{s})
			continue
		}
		(*l)[i] = append((*l)[i], s)
	}
}

// of returns the samples of one contender.
func (l lines) of(contender string) []sample {
	for _, line := range l {
		if line[0].Contender == contender {
			return line
		}
	}
	return nil
}

// summarize makes a scenario's part of the report.
func summarize(sc scenario, samples lines) Scenario {
	out := Scenario{Name: sc.name, Title: sc.title, Baseline: sc.baseline, Must: []Requirement{}}
	base := samples.of(sc.baseline)
	for _, line := range samples {
		out.Lines = append(out.Lines, lineOf(line, base))
	}
	for _, r := range sc.must {
		out.Must = append(out.Must, r.judge(samples))
	}
	return out
}

func lineOf(line, base []sample) Line {
	var rates, ratios, p50s, p99s, clients, servers []float64
	out := Line{Contender: line[0].Contender}
	var retries int64
	for i, s := range line {
		rates = append(rates, s.rate())
		ratios = append(ratios, s.rate()/base[i].rate())
		half, _ := p50.of(s)
		most, _ := p99.of(s)
		p50s, p99s = append(p50s, half), append(p99s, most)
		clients = append(clients, s.perEvent(s.Client))
		if s.Seen {
			servers = append(servers, s.perEvent(s.Server))
		}
		out.Events += s.Events
		retries += s.Retries
		out.PeakRSS = max(out.PeakRSS, s.PeakRSS)
	}
	out.EventsPerSecond, out.Ratio = spread(rates), spread(ratios)
	out.P50Microseconds, out.P99Microseconds = spread(p50s).Median, spread(p99s).Median
	out.ClientCPU = spread(clients).Median
	if len(servers) == len(line) {
		out.ServerCPU = new(spread(servers).Median)
	}
	out.Retries = float64(retries) / float64(max(out.Events, 1))
	return out
}

// spread is zero for no values.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}
