package daybooktest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/daybooktest"
)

// A lamp is switched on and off, and breaks when it is switched on for the third time.
type (
	lamp      struct{ on, broken bool }
	lampEvent struct {
		Name string `json:"name"`
	}
)

var errBroken = errors.New("broken")

var lamps = daybook.Decider[lamp, string, lampEvent]{
	Type:    "lamp",
	Initial: func() lamp { return lamp{} },
	Decide: func(state lamp, command string) ([]lampEvent, error) {
		switch {
		case state.broken:
			return nil, fmt.Errorf("cannot %s: %w", command, errBroken)
		case (command == "on") == state.on:
			return nil, nil
		}
		return []lampEvent{{command}}, nil
	},
	Evolve: func(state lamp, event lampEvent) lamp {
		switch event.Name {
		case "on", "off":
			state.on = event.Name == "on"
		case "broke":
			state = lamp{broken: true}
		}
		return state
	},
}

// witness is a test that only remembers whether, and why, it failed.
type witness struct {
	testing.TB
	failures []string
}

func (w *witness) Helper() {}

func (w *witness) Error(args ...any) { w.failures = append(w.failures, fmt.Sprint(args...)) }

func (w *witness) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// wantFailures fails t unless the witness saw exactly one failure that contains each text.
func (w *witness) wantFailures(t *testing.T, texts ...string) {
	t.Helper()
	if len(w.failures) != len(texts) {
		t.Fatalf("%d failures, want %d: %q", len(w.failures), len(texts), w.failures)
	}
	for i, text := range texts {
		if !strings.Contains(w.failures[i], text) {
			t.Errorf("failure %q, want one that contains %q", w.failures[i], text)
		}
	}
}

func TestSpecificationsThatHold(t *testing.T) {
	t.Parallel()
	given := daybooktest.Given(lamps)
	given.When("on").ThenEvents(t, lampEvent{"on"})
	given.When("off").ThenEvents(t)
	given.Events(lampEvent{"on"}).When("off").ThenState(t, lamp{})
	given.Events(lampEvent{"on"}, lampEvent{"broke"}).When("on").ThenRefused(t, errBroken)
	if err := given.Events(lampEvent{"broke"}).When("on").Err(); err == nil || err.Error() != "cannot on: broken" {
		t.Errorf("Err is %v, want the decider's own error", err)
	}
}

func TestSpecificationsThatDoNotHoldFail(t *testing.T) {
	t.Parallel()
	given, broken := daybooktest.Given(lamps), daybooktest.Given(lamps).Events(lampEvent{"broke"})
	for name, c := range map[string]struct {
		specify func(*witness)
		says    string
	}{
		"another event":            {func(w *witness) { given.When("on").ThenEvents(w, lampEvent{"off"}) }, "the command caused other events"},
		"an event too many":        {func(w *witness) { given.When("on").ThenEvents(w) }, "the command caused other events"},
		"an event too few":         {func(w *witness) { given.When("off").ThenEvents(w, lampEvent{"off"}) }, "the command caused other events"},
		"another state":            {func(w *witness) { given.When("on").ThenState(w, lamp{}) }, "the command leads to another state"},
		"events of a refusal":      {func(w *witness) { broken.When("on").ThenEvents(w) }, "the command was refused: cannot on: broken"},
		"the state of a refusal":   {func(w *witness) { broken.When("on").ThenState(w, lamp{}) }, "the command was refused: cannot on: broken"},
		"a refusal that is none":   {func(w *witness) { given.When("on").ThenRefused(w, errBroken) }, "the command was granted"},
		"a refusal of another way": {func(w *witness) { broken.When("on").ThenRefused(w, os.ErrClosed) }, "want: file already closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &witness{TB: t}
			c.specify(w)
			w.wantFailures(t, c.says)
		})
	}
}

func TestScenariosShareNothing(t *testing.T) {
	t.Parallel()
	on := daybooktest.Given(lamps).Events(lampEvent{"on"}, lampEvent{"off"}, lampEvent{"on"})
	off, broken := on.Events(lampEvent{"off"}), on.Events(lampEvent{"broke"})
	off.When("on").ThenEvents(t, lampEvent{"on"})
	broken.When("on").ThenRefused(t, errBroken)
	on.When("off").ThenEvents(t, lampEvent{"off"})
}

func TestADeciderThatIsNotPureIsFoundOut(t *testing.T) {
	t.Parallel()
	calls := 0
	impure := func(decide func(map[string]int, string) ([]lampEvent, error)) daybooktest.Scenario[map[string]int, string, lampEvent] {
		return daybooktest.Given(daybook.Decider[map[string]int, string, lampEvent]{
			Type:    "impure",
			Initial: func() map[string]int { return map[string]int{} },
			Decide:  decide,
			Evolve:  func(state map[string]int, _ lampEvent) map[string]int { return state },
		})
	}
	for name, c := range map[string]struct {
		decide func(map[string]int, string) ([]lampEvent, error)
		says   string
	}{
		"it changes the state": {func(state map[string]int, command string) ([]lampEvent, error) {
			state[command]++
			return nil, nil
		}, "the decider changed the state it was given"},
		"its events differ": {func(map[string]int, string) ([]lampEvent, error) {
			calls++
			return []lampEvent{{fmt.Sprint(calls)}}, nil
		}, "causes other events the second time"},
		"its error comes and goes": {func(map[string]int, string) ([]lampEvent, error) {
			calls++
			if calls%2 == 0 {
				return nil, nil
			}
			return nil, errBroken
		}, "and then"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{TB: t}
			decision := impure(c.decide).When("on")
			decision.ThenEvents(w)
			decision.ThenRefused(w, errBroken)
			w.wantFailures(t, c.says, c.says)
		})
	}
}

func TestARefusalWithEventsFails(t *testing.T) {
	t.Parallel()
	both := lamps
	both.Decide = func(lamp, string) ([]lampEvent, error) { return []lampEvent{{"on"}}, errBroken }
	w := &witness{TB: t}
	daybooktest.Given(both).When("on").ThenRefused(w, errBroken)
	w.wantFailures(t, "and caused events all the same")
}

type (
	lampSwitchedV1 struct {
		On bool `json:"on"`
	}
	lampSwitched struct {
		State string `json:"state"`
		By    string `json:"by,omitzero"`
	}
)

func (old lampSwitchedV1) upcast() lampSwitched {
	if old.On {
		return lampSwitched{State: "on"}
	}
	return lampSwitched{State: "off"}
}

func TestGoldenEvents(t *testing.T) {
	t.Parallel()
	registry := daybook.NewRegistry(
		daybook.Type[lampSwitched]("Lamp.Switched", daybook.Upcast(lampSwitchedV1.upcast)),
		daybook.Type[lampEvent]("Lamp"),
	)
	files := map[string]string{
		"Lamp.1":               `{"name":"on"}`,
		"Lamp.Switched.1":      `{"on":true}`,
		"Lamp.Switched.2.full": "{\"by\": \"me\",\n \"state\": \"on\"}\n",
	}
	want := map[string]any{
		"Lamp.1":               lampEvent{"on"},
		"Lamp.Switched.1":      lampSwitched{State: "on"},
		"Lamp.Switched.2.full": lampSwitched{State: "on", By: "me"},
	}
	for name, c := range map[string]struct {
		file, payload string // "": removed
		wants         string
		value         any
		failures      []string
	}{
		"all is well":                          {},
		"an old version decodes otherwise":     {file: "Lamp.Switched.1", payload: `{"on":false}`, failures: []string{"it decodes to something else"}},
		"the present version is not read":      {file: "Lamp.1", payload: `{"label":"on"}`, failures: []string{"cannot be read any more"}},
		"the present version is not written":   {file: "Lamp.Switched.2.full", payload: `{"state":"on","by":"me","by2":""}`, failures: []string{"cannot be read any more"}},
		"a member has become optional":         {file: "Lamp.Switched.2.bare", payload: `{"state":"on","by":""}`, wants: "Lamp.Switched.2.bare", value: lampSwitched{State: "on"}, failures: []string{"the shape has changed under the same schema version"}},
		"a file nobody describes":              {file: "Lamp.1.other", payload: `{"name":"x"}`, failures: []string{`add "Lamp.1.other" to want`}},
		"a file that was removed":              {wants: "Lamp.1.gone", value: lampEvent{"x"}, failures: []string{"golden events are never removed"}},
		"a version without any file":           {file: "Lamp.Switched.1", failures: []string{"Lamp.Switched.1.json: the file is missing", "no golden event of Lamp.Switched at schema version 1"}},
		"a file of an event nobody registered": {file: "Torch.1", payload: `{}`, wants: "Torch.1", value: lampEvent{}, failures: []string{"not a registered event type"}},
		"a version from the future":            {file: "Lamp.2", payload: `{"name":"x"}`, wants: "Lamp.2", value: lampEvent{"x"}, failures: []string{"newer program"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, expected := t.TempDir(), map[string]any{}
			for file, payload := range files {
				writeGolden(t, dir, file, payload)
				expected[file] = want[file]
			}
			if c.file != "" {
				writeGolden(t, dir, c.file, c.payload)
			}
			if c.wants != "" {
				expected[c.wants] = c.value
			}
			w := &witness{TB: t}
			daybooktest.Golden(w, registry, dir, expected)
			w.wantFailures(t, c.failures...)
		})
	}
}

// writeGolden writes a golden event; without a payload it removes it.
func writeGolden(t *testing.T, dir, name, payload string) {
	t.Helper()
	path := filepath.Join(dir, name+".json")
	if payload == "" {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
}
