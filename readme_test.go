package daybook_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheReadmesProgramIsTheExample(t *testing.T) {
	t.Parallel()
	readme, example := read(t, "README.md"), read(t, "examples/jar/main.go")
	if _, program, _ := strings.Cut(example, "\n"); !strings.Contains(readme, "```go\n"+program+"```") {
		t.Error("README.md does not hold examples/jar/main.go as it is (without its first comment)")
	}
	if lines := strings.Count(readme, "\n"); lines > 150 {
		t.Errorf("README.md has %d lines, more than 150", lines)
	}
}

// A newcomer runs it more than once.
func TestTheExampleRunsAgainAndAgain(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "jar")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/jar").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	readme := read(t, "README.md")
	for range 2 {
		jar := exec.CommandContext(t.Context(), program)
		jar.Dir = filepath.Dir(program)
		out, err := jar.CombinedOutput()
		if text := strings.TrimSpace(string(out)); err != nil || !strings.Contains(readme, "prints `"+text+"`") {
			t.Errorf("the example prints %q, %v, and README.md says something else", text, err)
		}
	}
}

func TestLinksInTheDocumentationLeadSomewhere(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		prose := code.ReplaceAllString(read(t, path), "")
		for _, match := range link.FindAllStringSubmatch(prose, -1) {
			target := path
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(path), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", path, match[1])
			} else if match[2] != "" && !slices.Contains(anchors(read(t, target)), match[2]) {
				t.Errorf("%s links to the heading %s of %s, which is not there", path, match[2], target)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// anchors are what the headings of a page are called in links to them.
func anchors(page string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")
		names = append(names, regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, ""))
	}
	return names
}
