package pgtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest PostgreSQL that daybook supports.
const minMajor = 15

// errNoPostgres says what to install. scripts/ensure-postgres.sh looks in the
// same places.
var errNoPostgres = errors.New(`no PostgreSQL server found (looked on PATH and in the usual places).
Install the server binaries of PostgreSQL 15 or newer, no running server is needed:
    Debian, Ubuntu   apt-get install postgresql
    Fedora, RHEL     dnf install postgresql-server
    macOS            brew install postgresql@17
or set $DAYBOOK_TEST_DATABASE_URL to a server that tests may create databases on,
or run "go test -short" for the tests that need none`)

// usualPlaces are where packages put server binaries without adding them to
// PATH: Debian, PGDG for Red Hat, Homebrew on both kinds of Mac and on Linux,
// Postgres.app.
var usualPlaces = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// An installation is a directory with the server binaries of one version.
type installation struct {
	dir     string
	version string // "15.18", "18beta1"
	major   int
}

func (in installation) binary(name string) string { return filepath.Join(in.dir, name) }

// findInstallation returns the first installation that is new enough: one on
// PATH, as that is how somebody chooses, else the newest.
func findInstallation() (installation, error) {
	var tooOld []string
	for _, dir := range candidates() {
		in, ok := inspect(dir)
		switch {
		case !ok:
		case in.major < minMajor:
			tooOld = append(tooOld, fmt.Sprintf("%s in %s", in.version, in.dir))
		default:
			return in, nil
		}
	}
	if len(tooOld) > 0 {
		return installation{}, fmt.Errorf("daybook needs PostgreSQL %d or newer, found only %s: %w",
			minMajor, strings.Join(tooOld, ", "), errNoPostgres)
	}
	return installation{}, errNoPostgres
}

// candidates lists the directories to look in, the most wanted first.
func candidates() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	var found []string
	for _, pattern := range usualPlaces {
		matches, err := filepath.Glob(pattern)
		if err == nil { // it is a constant pattern: only a malformed one fails
			found = append(found, matches...)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(majorInPath(b), majorInPath(a)) })
	dirs = append(dirs, found...)
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	return dirs
}

var (
	numberPattern  = regexp.MustCompile(`\d+`)
	versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.\w]*)`)
)

// majorInPath returns the last number in a directory's name, 0 for none.
func majorInPath(dir string) int {
	all := numberPattern.FindAllString(dir, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1])
	if err != nil {
		return 0
	}
	return n
}

// inspect reports what is installed in dir, and whether it is a server at all:
// client packages install only part of the binaries.
func inspect(dir string) (installation, bool) {
	server, err := exec.LookPath(filepath.Join(dir, "postgres"))
	if err != nil {
		return installation{}, false
	}
	// A link on PATH may stand for the whole installation; initdb looks for its
	// sisters in its own directory.
	server, err = filepath.EvalSymlinks(server)
	if err != nil {
		return installation{}, false
	}
	if server, err = filepath.Abs(server); err != nil {
		return installation{}, false
	}
	in := installation{dir: filepath.Dir(server)}
	if _, err := exec.LookPath(in.binary("initdb")); err != nil {
		return installation{}, false
	}
	out, err := exec.Command(server, "--version").Output()
	if err != nil {
		return installation{}, false
	}
	in.version, in.major = parseVersion(string(out))
	return in, in.major > 0
}

// parseVersion reads the answer of "postgres --version"; 0 is not understood.
func parseVersion(line string) (version string, major int) {
	m := versionPattern.FindStringSubmatch(line)
	if m == nil {
		return "", 0
	}
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return "", 0
	}
	return m[1], major
}
