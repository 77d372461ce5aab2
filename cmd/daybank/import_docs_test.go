package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/daybook-go/daybook/bank/statement"
)

// Every mapping in the documentation is one.
func TestTheDocumentedMappingsAreMappings(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```")
	for page, want := range map[string]int{"../../docs/howto/import.md": 2, "../../docs/reference/mapping.md": 1} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], `"source"`) {
				continue
			}
			found++
			if _, err := statement.ParseMapping(strings.NewReader(block[1])); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, block[1])
			}
		}
		if found != want {
			t.Errorf("%s: found %d mappings, want %d", page, found, want)
		}
	}
}

// Every member of a mapping is in the reference.
func TestTheMappingReferenceIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[statement.Column]() {
			return
		}
		for field := range of.Fields() {
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if member != "" && !strings.Contains(string(page), "`"+member+"`") {
				t.Errorf("mapping.md does not speak of %s", member)
			}
			check(field.Type)
		}
	}
	check(reflect.TypeFor[statement.Mapping]())
}
