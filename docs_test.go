package daybook_test

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goBlock is a block of Go in a page. One that begins with a comment that is the name of a
// file is that file, for a reader to write.
var goBlock = regexp.MustCompile("(?s)\n[ \t]*```go\n(.*?)\n[ \t]*```")

// Whoever copies code out of the documentation gets code that compiles, and does what the
// page says: all of it is, but for spaces, in a Go file of the repository. "…" in a page
// stands for what it leaves out.
func TestTheCodeInTheDocumentationIsCompiled(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, path := range files(t, ".go") {
		if path != "docs_test.go" {
			sources = append(sources, spaced(read(t, path)))
		}
	}
	for _, path := range files(t, ".md") {
		if !strings.HasPrefix(path, "docs/tutorial/") && !strings.HasPrefix(path, "docs/howto/") {
			continue
		}
		for _, block := range goBlock.FindAllStringSubmatch(read(t, path), -1) {
			if fileName.MatchString(block[1]) {
				continue // see TestTheTutorialsCanBeFollowed
			}
			found := false
			wanted := strings.ReplaceAll(regexp.QuoteMeta(spaced(block[1])), "…", ".*?")
			for _, source := range sources {
				found = found || regexp.MustCompile(wanted).MatchString(source)
			}
			if !found {
				t.Errorf("%s: this is in no Go file:\n%s", path, block[1])
			}
		}
	}
}

// files returns the paths of all files of the repository with an extension.
func files(t *testing.T, extension string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == extension {
			paths = append(paths, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// spaced is text with one space wherever there is any.
func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }

var fileName = regexp.MustCompile(`^// [a-z]+\.go\n`)

// A tutorial that consists of files and of what they print is done as it says, up to the
// last command.
func TestTheTutorialsCanBeFollowed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a program for every command of a page")
	}
	followed := 0
	for _, path := range files(t, ".md") {
		if strings.HasPrefix(path, "docs/tutorial/") && follow(t, path) {
			followed++
		}
	}
	if followed == 0 {
		t.Error("there is no tutorial to follow")
	}
}

var tutorialBlock = regexp.MustCompile("(?s)\n```(go|console)\n(.*?\n)```")

// follow writes the files of a page, and runs them where it says so. It reports whether it
// says so anywhere.
func follow(t *testing.T, page string) (ran bool) {
	t.Helper()
	dir := t.TempDir()
	for _, block := range tutorialBlock.FindAllStringSubmatch(read(t, page), -1) {
		name, code, _ := strings.Cut(block[2], "\n")
		switch {
		case block[1] == "go" && fileName.MatchString(block[2]):
			formatted, err := format.Source([]byte(code))
			if err != nil || string(formatted) != code {
				t.Errorf("%s: %s is not as gofmt writes it: %v", page, name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, strings.TrimPrefix(name, "// ")), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
		case block[1] == "console":
			_, want, found := strings.Cut(block[2], "$ go run .\n")
			if got := goRun(t, dir); !found || got != want {
				t.Errorf("%s: go run . prints\n%sand the page says\n%s", page, got, want)
			}
			ran = true
		}
	}
	return ran
}

// goRun builds the program in dir by this module, so that it needs none, and runs it there.
func goRun(t *testing.T, dir string) string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", program}, sources...)...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := exec.CommandContext(t.Context(), program)
	run.Dir = dir
	out, err := run.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// The view of the tutorial is the one that is shown as an example of the package, and is as
// short as it is said to be.
func TestTheTutorialsViewIsTheExample(t *testing.T) {
	t.Parallel()
	_, page, _ := strings.Cut(read(t, "docs/tutorial/shelf.md"), "// contents.go\n")
	_, declared, _ := strings.Cut(page, "\"github.com/daybook-go/daybook\"\n\n")
	declared, _, _ = strings.Cut(declared, "```")
	if lines := strings.Count(declared, "\n"); lines < 10 || lines > 30 {
		t.Errorf("the view takes %d lines, and at most 30 are promised:\n%s", lines, declared)
	}
	if !strings.Contains(read(t, "example_view_test.go"), declared) {
		t.Errorf("example_view_test.go does not hold\n%s", declared)
	}
}
