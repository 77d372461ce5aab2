package torture_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
	"github.com/daybook-go/daybook/torture"
)

// recording is all that a writer did to its files, in order, as strace saw it.
type recording struct {
	before []byte // the database, flushed
	deeds  []deed
}

// deed is a write (data), a truncation (size ≥ 0) or a flush.
type deed struct {
	file  string // its name in the directory
	data  []byte
	at    int64
	size  int64
	flush bool
	// begun is how many deeds had been begun when the flush was: those it covers.
	begun int
}

const (
	database = "torture.db"
	// sector is what a disk writes whole or not at all.
	sector = 4096
)

// record lets a child write to a new SQLite file for a while, watched.
func record(t *testing.T) *recording {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, database)
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := itself(t)
	cmd.Args = append([]string{"strace", "-f", "-y", "-xx", "-s", "2000000", "-o", trace, "-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync"}, cmd.Path)
	if cmd.Path, err = exec.LookPath("strace"); err != nil {
		t.Fatal(err)
	}
	child, err := torture.Child{
		Workload: torture.Workload{Seed: *flagSeed, Name: "child", Dir: dir, Writers: 3, Aggregates: 6, MaxEvents: 10},
		Database: path, Book: "main",
	}.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1200 * time.Millisecond)
	busy(t, dir)
	if err := child.Stop(); err != nil {
		t.Fatal(err)
	}
	deeds, err := readTrace(trace, dir)
	if err != nil {
		t.Fatal(err)
	}
	return &recording{before, deeds}
}

// busy waits until the writers have written something worth losing. It reads their
// journals: whoever opened the database would have a hand in what is recorded.
func busy(t *testing.T, dir string) {
	t.Helper()
	const lines = 60
	for deadline := time.Now().Add(backFor); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		names, err := filepath.Glob(filepath.Join(dir, "*.journal"))
		if err != nil {
			t.Fatal(err)
		}
		written := 0
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			written += bytes.Count(content, []byte("\n"))
		}
		if written >= lines {
			return
		}
	}
	t.Fatalf("in %v the writers wrote no %d lines", backFor, lines)
}

// readTrace reads what strace wrote about the files of dir. A call that was
// interrupted has two lines; a write counts from the first, a flush from the second.
func readTrace(name, dir string) (deeds []deed, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	flushing := map[string]deed{} // by thread
	for reader := bufio.NewReaderSize(file, 1<<20); ; {
		text, err := reader.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return deeds, nil
		}
		if err != nil {
			return nil, err
		}
		thread, call, _ := strings.Cut(text, " ")
		call = strings.TrimSpace(call)
		if strings.HasPrefix(call, "<... f") && strings.Contains(call, "sync resumed") {
			deeds = append(deeds, flushing[thread])
			continue
		}
		d, ok, err := parseDeed(call, dir)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		d.begun = len(deeds)
		if d.flush && strings.Contains(call, "<unfinished") {
			flushing[thread] = d
			continue
		}
		deeds = append(deeds, d)
	}
}

// parseDeed reads one call, such as pwrite64(6</dir/file>, "data", 4096, 0) = 4096,
// with path and data in hexadecimal.
func parseDeed(call, dir string) (d deed, ok bool, err error) {
	name, rest, _ := strings.Cut(call, "(")
	_, rest, _ = strings.Cut(rest, "<")
	hexPath, rest, found := strings.Cut(rest, ">")
	if !found || !strings.HasPrefix(hexPath, `\x`) {
		return d, false, nil
	}
	path, err := unhex(hexPath)
	if err != nil || filepath.Dir(string(path)) != dir || strings.HasSuffix(string(path), "-shm") {
		return d, false, err
	}
	d.file, d.size = filepath.Base(string(path)), -1
	switch name {
	case "fsync", "fdatasync":
		d.flush = true
	case "ftruncate":
		size, _, _ := strings.Cut(strings.TrimPrefix(rest, ", "), ")")
		d.size, err = strconv.ParseInt(strings.TrimPrefix(size, "0x"), base(size), 64)
	case "write", "pwrite64":
		parts := strings.SplitN(rest, `"`, 3)
		if d.data, err = unhex(parts[1]); err == nil && name == "pwrite64" {
			at := strings.FieldsFunc(parts[2], func(c rune) bool { return strings.ContainsRune(", )<", c) })[1]
			d.at, err = strconv.ParseInt(strings.TrimPrefix(at, "0x"), base(at), 64)
		}
	}
	return d, true, err
}

func base(number string) int {
	if strings.HasPrefix(number, "0x") {
		return 16
	}
	return 10
}

func unhex(text string) ([]byte, error) {
	return hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
}

// lose makes the files in dir as a loss of power after so many deeds could have left
// them. flushes says which flushes the disk takes notice of.
func (r *recording) lose(dir string, after int, chance *rand.Rand, flushes func(file string) bool) error {
	files := map[string][]byte{database: bytes.Clone(r.before)}
	pending := map[string][]int{} // deeds that are not flushed
	for i, d := range r.deeds[:after] {
		switch {
		case strings.HasSuffix(d.file, ".journal"): // the writer's diary lies elsewhere
			files[d.file] = append(files[d.file], d.data...)
		case d.flush && flushes(d.file):
			left := pending[d.file][:0:0]
			for _, n := range pending[d.file] {
				if n < d.begun {
					files[d.file] = r.deeds[n].apply(files[d.file], nil)
				} else {
					left = append(left, n)
				}
			}
			pending[d.file] = left
		case !d.flush:
			pending[d.file] = append(pending[d.file], i)
		}
	}
	for name, deeds := range pending {
		for _, n := range deeds {
			files[name] = r.deeds[n].apply(files[name], chance)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// apply does a deed to a file; where chance is given, sector by sector, or not.
func (d deed) apply(content []byte, chance *rand.Rand) []byte {
	if d.size >= 0 {
		if chance == nil || chance.IntN(2) == 0 {
			content = append(content[:min(int64(len(content)), d.size)], make([]byte, max(0, d.size-int64(len(content))))...)
		}
		return content
	}
	for from := 0; from < len(d.data); {
		at := d.at + int64(from)
		to := min(len(d.data), from+int(sector-at%sector))
		if chance == nil || chance.IntN(2) == 0 {
			if end := at + int64(to-from); end > int64(len(content)) {
				content = append(content, make([]byte, end-int64(len(content)))...)
			}
			copy(content[at:], d.data[from:to])
		}
		from = to
	}
	return content
}

// recovered opens what a loss of power left and checks it.
func (r *recording) recovered(t *testing.T, after int, chance *rand.Rand, flushes func(string) bool) (*torture.Report, error) {
	t.Helper()
	dir := t.TempDir()
	if err := r.lose(dir, after, chance, flushes); err != nil {
		return nil, err
	}
	history, err := torture.ReadHistory(dir)
	if err != nil {
		return nil, err
	}
	driver, err := open(t.Context(), filepath.Join(dir, database))
	if err != nil {
		return nil, err
	}
	defer driver.Close()
	book, err := daybook.Open(t.Context(), driver, "main", torture.Registry())
	if err != nil {
		return nil, err
	}
	return torture.Check(t.Context(), book, history)
}

// A loss of power takes nothing that SQLite has acknowledged.
func TestTorturePowerLoss(t *testing.T) {
	t.Parallel()
	needsServers(t)
	needsStrace(t)
	chance := newChance(*flagSeed, 1)
	var sum torture.Report
	begun, n := time.Now(), 0
	for budget(begun, len(faults()), n) {
		n++
		r := record(t)
		for range 20 {
			after := chance.IntN(len(r.deeds) + 1)
			report, err := r.recovered(t, after, chance, func(string) bool { return true })
			if err != nil {
				t.Fatalf("seed %d, round %d, cut after %d of %d: %v", *flagSeed, n, after, len(r.deeds), err)
			}
			add(&sum, report)
			if !report.Held() {
				t.Fatalf("seed %d, round %d, cut after %d of %d: broken\n%v", *flagSeed, n, after, len(r.deeds), report)
			}
		}
	}
	t.Logf("%-14s held in %d rounds of 20 losses, seed %d: %v", "power loss", n, *flagSeed, &sum)
}

// With synchronous=NORMAL the log is flushed before a checkpoint only: what was
// acknowledged since is gone.
func TestControlPowerLossWithoutFlushing(t *testing.T) {
	t.Parallel()
	needsServers(t)
	needsStrace(t)
	chance := newChance(*flagSeed, 2)
	r := record(t)
	mustBreak(t, []string{"I1"}, func(int) *torture.Report {
		report, err := r.recovered(t, len(r.deeds)/4+chance.IntN(len(r.deeds)/4), chance, func(file string) bool { return !strings.HasSuffix(file, "-wal") })
		if err != nil {
			t.Logf("broken otherwise: %v", err)
			return &torture.Report{}
		}
		return report
	})
}
