package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the same name
)

// settings are those of the server that decide how fast a commit is.
var settings = []string{
	"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "commit_delay", "commit_siblings", "wal_level", "synchronous_standby_names",
	"shared_buffers", "max_wal_size", "checkpoint_timeout", "max_connections", "autovacuum", "data_checksums",
}

// describe begins the report with all that is known before anything is measured.
func (l *lab) describe(ctx context.Context, began time.Time) (*Report, error) {
	payload, meta, err := encodeByHand(newPaid(0))
	if err != nil {
		return nil, err
	}
	r := &Report{
		StartedAt: began.UTC().Format("2006-01-02T15:04:05.000000Z"), Machine: thisMachine(),
		Versions: map[string]string{}, Settings: map[string]string{},
		Method: Method{
			Rounds: l.Rounds, SecondsATurn: l.Time.Seconds(), ReplayEvents: l.ReplayEvents, BookEvents: l.BookEvents,
			PayloadBytes: len(payload), MetadataBytes: len(meta), ServerCPU: l.server.visible(),
		},
	}
	if r.Versions["sqlite"], err = sqliteVersion(ctx); err != nil {
		return nil, err
	}
	if l.pool == nil {
		return r, nil
	}
	for _, name := range append([]string{"server_version"}, settings...) {
		var value string
		if err := l.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, fmt.Errorf("bench: reading the setting %s: %w", name, err)
		}
		r.Settings[name] = value
	}
	r.Versions["postgresql"] = r.Settings["server_version"]
	delete(r.Settings, "server_version")
	return r, nil
}

func sqliteVersion(ctx context.Context) (version string, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	return version, err
}

func thisMachine() Machine {
	m := Machine{
		CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", OS: runtime.GOOS, Arch: runtime.GOARCH,
		Go: runtime.Version(), LoadAverage: -1,
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(kernel))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if _, err := fmt.Sscan(string(load), &m.LoadAverage); err != nil {
			m.LoadAverage = -1
		}
	}
	return m
}
