//go:build !unix

package bench

import "time"

// processCPU is not known here; a report has 0 in its place.
func processCPU() time.Duration { return 0 }
