package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// migrated is the answer of migrate.
type migrated struct {
	Database string `json:"database"`
	Status   string `json:"status"`
}

func newMigrate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables in the database, or bring them up to date",
		Long: `Make the tables in the database, or bring them up to date. Doing it again does
nothing. A SQLite file is made where there is none. PostgreSQL needs a role that
may make tables; the other verbs need only the role daybook_app.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.target()
			if err != nil {
				return err
			}
			if err := t.migrate(cmd.Context()); err != nil {
				return err
			}
			r := migrated{Database: t.String(), Status: "ready"}
			return a.show(r, fieldColumns(), field{"database", r.Database}, field{"status", r.Status})
		},
	}
}

// build is the answer of version.
type build struct {
	Version string `json:"version"`
	// Revision is the commit it was built from; empty where that is not known.
	Revision string `json:"revision"`
	Go       string `json:"go"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show which daybank this is",
		Args:  needs(),
		RunE: func(*cobra.Command, []string) error {
			r := build{Version: "unknown", Go: runtime.Version()}
			if info, ok := debug.ReadBuildInfo(); ok {
				r.Version = info.Main.Version
				for _, setting := range info.Settings {
					if setting.Key == "vcs.revision" {
						r.Revision = setting.Value
					}
				}
			}
			return a.show(r, fieldColumns(), field{"version", r.Version}, field{"revision", r.Revision}, field{"go", r.Go})
		},
	}
}
