package torture_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
	"github.com/daybook-go/daybook/sqlite"
	"github.com/daybook-go/daybook/torture"
)

var (
	flagTime   = flag.Duration("torture.time", 0, "how long TestTorture goes on; 0: a round or two of each fault")
	flagSeed   = flag.Uint64("torture.seed", 0, "what chance begins with; 0: chosen, and printed")
	flagFaults = flag.String("torture.faults", "", "the faults to use, by name, with commas; empty: all")
	flagRounds = flag.Int("torture.rounds", 0, "how many rounds of each fault; 0: as many as the time allows")
)

// The test binary is also the child that the suite kills.
func TestMain(m *testing.M) {
	if text := os.Getenv(torture.EnvChild); text != "" {
		child, err := torture.ParseChild(text)
		if err == nil {
			err = child.Run(context.Background(), os.Stdin, open)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if *flagSeed == 0 {
		*flagSeed = rand.Uint64N(1_000_000_000) + 1 //nolint:gosec // chance, not a secret
	}
	pgtest.Main(m)
}

// newChance returns chance that can be repeated; which tells apart those who draw.
func newChance(seed, which uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, which)) //nolint:gosec // not a secret
}

// open opens the database at an address: postgres://…, or else the name of a file, perhaps
// with the name of a flaw before it.
func open(ctx context.Context, address string) (daybook.Driver, error) {
	for name, flaw := range flaws {
		if rest, found := strings.CutPrefix(address, name); found {
			driver, err := open(ctx, rest)
			if err != nil {
				return nil, err
			}
			return flaw(driver), nil
		}
	}
	if strings.HasPrefix(address, "postgres://") {
		db, err := postgres.Open(ctx, address)
		if err != nil {
			return nil, err
		}
		return db, nil
	}
	db, err := sqlite.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// budget says whether another round is to be fought: n are over.
func budget(begun time.Time, faults, n int) bool {
	switch {
	case *flagRounds > 0:
		return n < *flagRounds
	case *flagTime > 0:
		share := min(*flagTime, *flagTime*time.Duration(parallel())/time.Duration(faults))
		return n == 0 || time.Since(begun) < share
	default:
		return n == 0 || n == 1 && time.Since(begun) < 2*time.Second
	}
}

// parallel is how many tests run at the same time, but no more than there are faults.
func parallel() int {
	if f := flag.Lookup("test.parallel"); f != nil {
		if n, ok := f.Value.(flag.Getter).Get().(int); ok && n > 0 {
			return n
		}
	}
	return 1
}
