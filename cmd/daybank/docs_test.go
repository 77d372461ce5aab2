package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite the examples in docs/reference")

const docs = "../../docs/reference"

// The examples in the reference are run, one after the other on one empty book,
// and must print what the page says, but for times and ids that are random.
func TestTheReferenceIsTrue(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cli.md", "json.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(docs, name)
			page, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := rerun(t, string(page))
			diff := cmp.Diff(stable(string(page)), stable(got))
			if diff == "" {
				return
			}
			if !*update {
				t.Fatalf("run go test ./cmd/daybank -run Reference -update, and look at what it changes (-page +program):\n%s", diff)
			}
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// rerun returns a page with the output of every command in its console blocks as
// it is today. A command ends with "| jq" where the page shows its JSON indented.
func rerun(t *testing.T, page string) string {
	t.Helper()
	db := inFile(t, t.TempDir())
	var out, was strings.Builder // was is what the page has for the command
	inBlock, command := false, ""
	finish := func() {
		if command == "" {
			return
		}
		is := example(t, db, command)
		if stable(is) == stable(was.String()) {
			is = was.String() // so that an update changes no more than it has to
		}
		out.WriteString(is)
		was.Reset()
		command = ""
	}
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "```"):
			finish()
			inBlock = strings.TrimSpace(line) == "```console"
			out.WriteString(line)
		case inBlock && strings.HasPrefix(line, "$ daybank "):
			finish()
			out.WriteString(line)
			command = strings.TrimPrefix(strings.TrimSpace(line), "$ daybank ")
		case inBlock:
			was.WriteString(line)
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

func example(t *testing.T, db, commandLine string) string {
	t.Helper()
	commandLine, indent := strings.CutSuffix(commandLine, " | jq")
	got := cli(t, db, words(commandLine)...)
	if indent {
		var buffer bytes.Buffer
		if err := json.Indent(&buffer, []byte(got.stdout), "", "  "); err != nil {
			t.Fatalf("daybank %s: %v", commandLine, err)
		}
		got.stdout = buffer.String()
	}
	if got.code != exitOK {
		got.stderr += fmt.Sprintf("[exit code %d]\n", got.code)
	}
	return got.stdout + got.stderr
}

// words splits a command line at its spaces, except between double quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

// Every verb and every flag is in the reference.
func TestTheReferenceIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(docs, "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(&app{})
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			check(below)
		}
		if !strings.Contains(string(page), "`"+strings.TrimPrefix(cmd.CommandPath(), "daybank ")) {
			t.Errorf("cli.md does not speak of the verb %s", cmd.Name())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(string(page), "`--"+f.Name) {
				t.Errorf("cli.md does not speak of --%s, of %s", f.Name, cmd.Name())
			}
		})
	}
	for _, cmd := range root.Commands() {
		check(cmd)
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(string(page), "--"+f.Name) {
			t.Errorf("cli.md does not speak of --%s", f.Name)
		}
	})
}
