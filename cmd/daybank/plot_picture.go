package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-analyze/charts"
	"github.com/spf13/cobra"
)

// pictureFile is where a picture goes.
type pictureFile struct {
	path  string
	force bool
}

func (f *pictureFile) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "out", "", "draw a picture into `FILE`, which ends in .svg or .png")
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite the file of --out if it is there")
}

// check refuses a file before any work is done for it.
func (f *pictureFile) check(given bool) error {
	switch {
	case !given && f.force:
		return usage("--force overwrites the file of --out: name one")
	case !given:
		return nil
	}
	if f.format() == "" {
		return usage("--out %q: the name's ending says what to draw: write .svg or .png", shorten(f.path))
	}
	if _, err := os.Lstat(f.path); err == nil && !f.force {
		return f.isThere()
	}
	return nil
}

func (f *pictureFile) isThere() error {
	return &hintError{fmt.Errorf("--out: %s is there already, and was not overwritten", f.path), "give another name, or --force to overwrite it"}
}

// format is the kind of picture that the name asks for, or "".
func (f *pictureFile) format() string {
	switch strings.ToLower(filepath.Ext(f.path)) {
	case ".svg":
		return charts.ChartOutputSVG
	case ".png":
		return charts.ChartOutputPNG
	}
	return ""
}

// draw makes the picture and then writes it: a picture that cannot be drawn leaves the
// file as it was.
func (f *pictureFile) draw(l balanceLine) error {
	picture, err := l.picture(f.format())
	if err != nil {
		return fmt.Errorf("the picture could not be drawn: %w", err)
	}
	mode := os.O_EXCL
	if f.force {
		mode = os.O_TRUNC
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|mode, 0o666) //nolint:gosec // G302, G304: the user names the file, and the umask its mode, as for any output
	if errors.Is(err, fs.ErrExist) {
		return f.isThere()
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = file.Write(picture)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("--out: %s is not complete: %w", f.path, err)
	}
	return nil
}

const (
	pictureWidth  = 1000
	pictureHeight = 500
	// pictureSamples is more than one for each pixel, so that steps look like steps.
	pictureSamples = 1200
	pictureTicks   = 6 // more, and the last two run into each other
)

// picture draws the line.
func (l balanceLine) picture(format string) ([]byte, error) {
	moments, balances := l.samples(pictureSamples)
	digits := l.account.Currency.Digits()
	unit := math.Pow10(digits)
	values, labels := make([]float64, len(balances)), make([]string, len(moments))
	layout := tickLayout(l.end.Sub(l.begin()))
	for i := range balances {
		values[i], labels[i] = float64(balances[i])/unit, moments[i].UTC().Format(layout)
	}
	opt := charts.NewLineChartOptionWithData([][]float64{values})
	opt.Title.Text = l.title()
	opt.Title.Subtext = timeText(l.begin()) + " to " + timeText(l.end)
	opt.Title.FontStyle.FontSize, opt.Title.SubtextFontStyle.FontSize = 14, 11
	opt.XAxis.LabelFontStyle.FontSize = 11
	opt.Legend.Show = charts.Ptr(false)
	opt.Symbol.Shape = charts.SymbolNone
	opt.LineStrokeWidth = 1.5
	opt.XAxis.Labels, opt.XAxis.LabelCount, opt.XAxis.BoundaryGap = labels, pictureTicks, charts.Ptr(false)
	opt.ValueFormatter = func(v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	opt.Padding = charts.NewBoxEqual(30)
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: pictureWidth, Height: pictureHeight})
	if err := painter.LineChart(opt); err != nil {
		return nil, err
	}
	return painter.Bytes()
}
