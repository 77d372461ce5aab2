package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people: where and how it was measured, and for
// each scenario its lines and what must be reached. Its form may change; programs
// read the JSON.
func (r *Report) WriteTable(w io.Writer) error {
	var out strings.Builder
	r.head(&out)
	for _, s := range r.Scenarios {
		if err := s.table(&out); err != nil {
			return err
		}
	}
	passed, failed, other := r.Count()
	fmt.Fprintf(&out, "\nmust reach: %d pass, %d fail, %d not measured\n", passed, failed, other)
	_, err := io.WriteString(w, out.String())
	return err
}

// Count returns how many requirements were met, were not, and could not be measured.
func (r *Report) Count() (passed, failed, notMeasured int) {
	for _, s := range r.Scenarios {
		for _, must := range s.Must {
			switch must.Outcome {
			case Passed:
				passed++
			case Failed:
				failed++
			case NotMeasured:
				notMeasured++
			}
		}
	}
	return passed, failed, notMeasured
}

func (r *Report) head(out *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(out, "%s, %d cores, %s/%s, kernel %s, load average %.2f, %s\n", m.CPU, m.Cores, m.OS, m.Arch, m.Kernel, m.LoadAverage, m.Go)
	fmt.Fprintf(out, "%s\n", pairs(r.Versions))
	if len(r.Settings) > 0 {
		fmt.Fprintf(out, "%s\n", pairs(r.Settings))
	}
	fmt.Fprintf(out, "events of %d + %d bytes (payload, metadata); %d rounds, turns of %g s; began %s, took %.0f s\n",
		r.Method.PayloadBytes, r.Method.MetadataBytes, r.Method.Rounds, r.Method.SecondsATurn, r.StartedAt, r.ElapsedSeconds)
	fmt.Fprintf(out, "ratio: of events/s to the baseline (*) in the same round, median (min–max); µs: CPU per event, client + server\n")
}

// pairs lists names and values in one line, in order of names.
func pairs(values map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, name+" "+orElse(values[name], "''"))
	}
	return strings.Join(all, ", ")
}

func (s Scenario) table(out *strings.Builder) error {
	fmt.Fprintf(out, "\n%s: %s\n", s.Name, s.Title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tevents/s\tbest\tratio\t\tp50 ms\tp99 ms\tµs\t\t")
	for _, line := range s.Lines {
		name := line.Contender
		if name == s.Baseline {
			name += " *"
		}
		server := "n/a"
		if line.ServerCPU != nil {
			server = fmt.Sprintf("%.1f", *line.ServerCPU)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t(%.2f–%.2f)\t%s\t%s\t%.1f + %s\t%s\t\n", name,
			line.EventsPerSecond.Median, line.EventsPerSecond.Max, line.Ratio.Median, line.Ratio.Min, line.Ratio.Max,
			milliseconds(line.P50Microseconds), milliseconds(line.P99Microseconds), line.ClientCPU, server, line.remarks())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, must := range s.Must {
		reached := "n/a"
		if must.Outcome != NotMeasured {
			reached = fmt.Sprintf("%.2f (%.2f–%.2f)", must.Reached.Median, must.Reached.Min, must.Reached.Max)
			if must.bounded != "" {
				reached = must.bounded.text(must.Reached.Max)
			}
		}
		fmt.Fprintf(out, "  must reach: %s: %s, %s\n", must.What, reached, strings.ToUpper(string(must.Outcome)))
	}
	return nil
}

func milliseconds(microseconds float64) string {
	if microseconds >= 100_000 {
		return fmt.Sprintf("%.0f", microseconds/1000)
	}
	return fmt.Sprintf("%.2f", microseconds/1000)
}

// remarks is what only some lines have.
func (l Line) remarks() string {
	switch {
	case l.PeakRSS > 0:
		return megabytes(float64(l.PeakRSS)) + " resident"
	case l.Retries > 0:
		return fmt.Sprintf("%.2f retries each", l.Retries)
	}
	return ""
}
