package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeInstallation makes a directory with binaries that only tell a version.
func fakeInstallation(t *testing.T, version string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindInstallation(t *testing.T) { // not parallel: it changes PATH and the usual places
	places := usualPlaces
	t.Cleanup(func() { usualPlaces = places })
	usualPlaces = nil
	server := []string{"postgres", "initdb"}

	t.Run("none says what to install", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := findInstallation()
		if !errors.Is(err, errNoPostgres) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("client binaries alone are none", func(t *testing.T) {
		t.Setenv("PATH", fakeInstallation(t, "17.1", "psql", "initdb"))
		if in, err := findInstallation(); err == nil {
			t.Errorf("found %+v", in)
		}
	})
	t.Run("one that is too old is named", func(t *testing.T) {
		t.Setenv("PATH", fakeInstallation(t, "14.9", server...))
		_, err := findInstallation()
		if err == nil || !strings.Contains(err.Error(), "needs PostgreSQL 15 or newer, found only 14.9") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a newer one elsewhere is used instead of an old one on PATH", func(t *testing.T) {
		t.Setenv("PATH", fakeInstallation(t, "14.9", server...))
		usualPlaces = []string{fakeInstallation(t, "16.2", server...)}
		t.Cleanup(func() { usualPlaces = nil })
		in, err := findInstallation()
		if err != nil || in.major != 16 {
			t.Errorf("found %+v, error %v", in, err)
		}
	})
	t.Run("a link on PATH stands for its whole installation", func(t *testing.T) {
		real := fakeInstallation(t, "17.1", server...)
		bin := t.TempDir()
		if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(bin, "postgres")); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		in, err := findInstallation()
		if err != nil || in.dir != real {
			t.Errorf("found %+v, error %v, want %s", in, err, real)
		}
	})
}

func TestCheckServer(t *testing.T) {
	t.Parallel()
	t.Run("an address of another form is refused by name", func(t *testing.T) {
		t.Parallel()
		err := checkServer("host=localhost dbname=postgres")
		if err == nil || !strings.Contains(err.Error(), EnvURL) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a server that answers is fine", func(t *testing.T) {
		t.Parallel()
		if err := checkServer(Start(t).DSN()); err != nil {
			t.Error(err)
		}
	})
}
