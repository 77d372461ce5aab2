package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// layout is part of the cached cluster's name: raise it when initdb's arguments
// change, and nobody has to clear a cache.
const layout = 1

// superuser is the role that initdb creates.
const superuser = "postgres"

// initialized returns a freshly initialized data directory below cache, to be
// copied and never started. Initializing takes seconds, so it is done once per
// version of PostgreSQL, by one test binary while the others wait.
func initialized(in installation, as account, cache string) (string, error) {
	unlock, err := lockFile(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	done := filepath.Join(cache, fmt.Sprintf("cluster-%s-%d", in.version, layout))
	if _, err := os.Stat(done); err == nil {
		return done, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// Under another name until it is complete: we may be killed half-way.
	temp, err := as.mkdirTemp(cache, "new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	data := filepath.Join(temp, "data")
	locale := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		locale = "C" // the only one that every macOS has and sorts by bytes
	}
	// Other users of this machine may reach a TCP port, but not our socket.
	cmd := as.command(temp, in.binary("initdb"), "-D", data, "-U", superuser, "--no-sync", "--data-checksums",
		"-E", "UTF8", "--locale="+locale, "--auth-local=trust", "--auth-host=scram-sha-256")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd.Path, err, out)
	}
	return done, os.Rename(data, done)
}

// copyCluster copies a data directory, as the account that will own the copy.
func copyCluster(as account, from, to string) error {
	cmd := as.command(filepath.Dir(to), "cp", "-a", from, to)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w\n%s", from, err, out)
	}
	return nil
}

// lockFile waits until no other process holds the lock on the file at path. The
// kernel gives it back when a holder dies.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks, and nothing was written
}
