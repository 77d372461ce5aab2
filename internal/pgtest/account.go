package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// An account is the operating system's user that the server runs as.
type account struct {
	uid, gid uint32 // the kernel's types
	switched bool   // it is not our own
}

// serverAccount returns our own account, except for root, whom PostgreSQL
// refuses: then the one its packages create, or one that every system has.
func serverAccount() (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// command prepares a program to run as the account in dir, which it must be able
// to reach: our own working directory may be closed to it.
func (a account) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = serverEnv()
	if a.switched {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	}
	return cmd
}

// serverEnv is our environment without what would configure the server behind
// our back, and with messages in the language that start looks for.
func serverEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C")
}

// mkdirTemp makes a directory in parent that belongs to the account alone.
func (a account) mkdirTemp(parent, pattern string) (string, error) {
	dir, err := os.MkdirTemp(parent, pattern) // with mode 0700
	if err != nil {
		return "", err
	}
	if a.switched {
		if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
			return "", errors.Join(err, os.Remove(dir))
		}
	}
	return dir, nil
}

// maxTempDir leaves room for "/daybook-pg-0123456789/s/.s.PGSQL.65535" within the
// 103 bytes that the shortest of our systems allows for a socket's path.
const maxTempDir = 60

// tempDir returns the directory for temporary files that the account can reach,
// short enough for a socket below it.
func (a account) tempDir() string {
	dir := os.TempDir()
	if len(dir) > maxTempDir || (a.switched && !reachable(dir)) {
		return "/tmp"
	}
	return dir
}

// reachable reports whether everybody may walk down to dir.
func reachable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// cacheDir returns a directory that belongs to the account alone and outlives
// us, after making it where it is missing.
func (a account) cacheDir() (string, error) {
	uid := uint32(os.Getuid()) //nolint:gosec // a uid is 32 bits wide, and not -1 outside Windows
	if a.switched {
		uid = a.uid
	}
	parent := a.tempDir()
	if own, err := os.UserCacheDir(); err == nil && !a.switched && os.MkdirAll(own, 0o700) == nil {
		parent = own
	}
	dir := filepath.Join(parent, fmt.Sprintf("daybook-pgtest-%d", uid))
	if err := a.claim(dir); err != nil {
		return "", err
	}
	// Everybody may write to /tmp, so somebody else may have been there first.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || stat.Uid != uid || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s must be a directory of uid %d with mode 0700: remove it", dir, uid)
	}
	return dir, nil
}

// claim makes dir in one step, complete with its owner: another test binary may
// be doing the same.
func (a account) claim(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	temp, err := a.mkdirTemp(filepath.Dir(dir), "daybook-pgtest-new-*")
	if err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		// Somebody was faster. Whether it is ours the caller looks at.
		return os.Remove(temp)
	}
	return nil
}
