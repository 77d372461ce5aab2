package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// needs returns the check that a verb is called with exactly the arguments named.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return fmt.Errorf("%s takes no arguments, got %q: run %s --help", cmd.Name(), args[0], cmd.CommandPath())
		}
		number := fmt.Sprintf("%d arguments", len(args))
		if len(args) == 1 {
			number = "1 argument"
		}
		return fmt.Errorf("%s needs %s, got %s: run %s --help", cmd.Name(), strings.Join(names, " "), number, cmd.CommandPath())
	}
}

// oneOf makes a verb refuse more than one of the flags named, beside what it refuses
// already.
func oneOf(cmd *cobra.Command, names ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if before != nil {
			if err := before(cmd, args); err != nil {
				return err
			}
		}
		var given []string
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				given = append(given, "--"+name)
			}
		}
		if len(given) > 1 {
			return fmt.Errorf("%s contradict each other: give one of them", strings.Join(given, " and "))
		}
		return nil
	}
}

// explainFlagError says in the program's own words what is wrong with a flag.
func explainFlagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		return fmt.Errorf("--%s %q: %w", value.GetFlag().Name, shorten(value.GetValue()), errors.Unwrap(value))
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if short := unknown.GetSpecifiedShortnames(); short != "" && strings.ContainsRune("0123456789.", rune(short[0])) {
			return fmt.Errorf("%q: an amount has no sign: run %s --help", "-"+shorten(short), cmd.CommandPath())
		}
	}
	return fmt.Errorf("%w: run %s --help", err, cmd.CommandPath())
}

// outputFormat is what results look like; the zero value is a table.
type outputFormat string

const (
	formatJSON outputFormat = "json"
	// formatCSV is for the verbs that have the annotation printsCSV.
	formatCSV outputFormat = "csv"
)

const printsCSV = "csv"

func (f *outputFormat) Type() string { return "format" }

func (f *outputFormat) String() string {
	if *f == "" {
		return "table"
	}
	return string(*f)
}

// Set reads what the user gave.
func (f *outputFormat) Set(text string) error {
	if text != "table" && text != string(formatJSON) && text != string(formatCSV) {
		return errors.New("write table or json, or csv for a statement")
	}
	*f = outputFormat(text)
	return nil
}
