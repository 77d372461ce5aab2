package main

import (
	"fmt"
	"io"
	"os"

	"github.com/daybook-go/daybook/bank/statement"
)

// importFile is a file to be imported.
type importFile struct {
	path string
	kind statement.Kind
	// info is what the file was when the import began.
	info os.FileInfo
}

// importFiles looks at the files and their headers, so that one that is missing, or
// that the mapping does not describe, ends the import before it has begun.
func importFiles(mapping *statement.Mapping, paths []string) ([]importFile, error) {
	files := make([]importFile, 0, len(paths))
	for _, path := range paths {
		file, err := importFileAt(mapping, path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func importFileAt(mapping *statement.Mapping, path string) (importFile, error) {
	if path == "-" {
		return importFile{}, usage("-: files are read twice, so standard input cannot be imported: save it to a file first")
	}
	info, err := os.Stat(path)
	if err != nil {
		return importFile{}, err
	}
	// Before it is opened: to open a pipe is to wait for its writer.
	if !info.Mode().IsRegular() {
		return importFile{}, fmt.Errorf("%s: it is not a file with lines in it (%s): name a file", path, info.Mode().Type())
	}
	reader, err := os.Open(path) //nolint:gosec // G304: reading the file the caller names is the job
	if err != nil {
		return importFile{}, err
	}
	defer reader.Close()
	opened, err := mapping.Open(path, reader)
	if err != nil {
		return importFile{}, err
	}
	return importFile{path: path, kind: opened.Kind, info: info}, nil
}

// unchanged reports, by an error, that the file is no longer what it was when the
// import began. What a check has found holds only for the file it has read.
func (f importFile) unchanged() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return fmt.Errorf("%s: the file was changed while it was being imported: import it again when it is complete", f.path)
	}
	return nil
}

// countingReader counts the bytes that were read.
type countingReader struct {
	io.Reader
	count int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.count += int64(n)
	return n, err
}
