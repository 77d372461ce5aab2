package daybook

import (
	"bytes"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Metadata is what is known about an event besides its data. It plays no part in
// comparing a retry with its original: a retry usually has its own correlation.
//
// It is stored, and shown, as one flat JSON object of strings: correlation_id,
// causation_id, actor, and the names of Extra.
type Metadata struct {
	// CorrelationID is shared by everything one request or process set off.
	CorrelationID string
	// CausationID names the command or event that caused this one.
	CausationID string
	// Actor is who did it.
	Actor string
	// Extra holds further names and values. The three names above are reserved,
	// and so is every name that starts with "daybook".
	Extra map[string]string
}

const (
	correlationName = "correlation_id"
	causationName   = "causation_id"
	actorName       = "actor"
	reservedPrefix  = "daybook"
	unreadableName  = reservedPrefix + ".unreadable"
)

// emptyMetadata spares the common case its encoding and decoding.
const emptyMetadata = "{}"

// MarshalJSON returns the flat object.
func (m Metadata) MarshalJSON() ([]byte, error) {
	if len(m.Extra) == 0 {
		return m.marshalPlain()
	}
	flat := make(map[string]string, len(m.Extra)+3)
	maps.Copy(flat, m.Extra)
	for name, value := range map[string]string{correlationName: m.CorrelationID, causationName: m.CausationID, actorName: m.Actor} {
		if value != "" {
			flat[name] = value
		}
	}
	return json.Marshal(flat, json.Deterministic(true))
}

// marshalPlain is MarshalJSON for the usual case, without a map: every event is
// written with it.
func (m Metadata) marshalPlain() (object []byte, err error) {
	if m.Actor == "" && m.CausationID == "" && m.CorrelationID == "" {
		return []byte(emptyMetadata), nil
	}
	object = append(make([]byte, 0, 64+len(m.Actor)+len(m.CausationID)+len(m.CorrelationID)), '{')
	for _, member := range [...][2]string{{actorName, m.Actor}, {causationName, m.CausationID}, {correlationName, m.CorrelationID}} {
		if member[1] == "" {
			continue
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(append(object, '"'), member[0]...), `":`...)
		if object, err = jsontext.AppendQuote(object, member[1]); err != nil {
			return nil, err
		}
	}
	return append(object, '}'), nil
}

// UnmarshalJSON reads the flat object.
func (m *Metadata) UnmarshalJSON(data []byte) error {
	*m = Metadata{}
	if string(data) == emptyMetadata || m.unmarshalPlain(data) {
		return nil
	}
	*m = Metadata{}
	var flat map[string]string
	if err := json.Unmarshal(data, &flat); err != nil {
		return err
	}
	m.CorrelationID, m.CausationID, m.Actor = flat[correlationName], flat[causationName], flat[actorName]
	delete(flat, correlationName)
	delete(flat, causationName)
	delete(flat, actorName)
	if len(flat) > 0 {
		m.Extra = flat
	}
	return nil
}

// StoredMetadata is for engines: it reads what they have stored. What is no flat object
// of strings, which only somebody past this library can have written, hides no event:
// it comes back as text, under the name "daybook.unreadable".
func StoredMetadata(object []byte) Metadata {
	var m Metadata
	if err := m.UnmarshalJSON(object); err != nil {
		return Metadata{Extra: map[string]string{unreadableName: string(object)}}
	}
	return m
}

// unmarshalPlain is UnmarshalJSON for the usual case, without a map, and reports
// whether data is that: the three names, each once, and text without escapes. Every
// event that is read goes through it; the map took a quarter of a replay.
func (m *Metadata) unmarshalPlain(data []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{"))
	for ok {
		var name, value []byte
		if name, rest, ok = plainString(rest); !ok {
			return false
		}
		if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(":")); !ok {
			return false
		}
		if value, rest, ok = plainString(rest); !ok || len(value) == 0 {
			return false
		}
		var member *string
		switch string(name) {
		case actorName:
			member = &m.Actor
		case causationName:
			member = &m.CausationID
		case correlationName:
			member = &m.CorrelationID
		}
		if member == nil || *member != "" {
			return false
		}
		*member = string(value)
		rest = bytes.TrimLeft(rest, " ")
		if string(rest) == "}" {
			return true
		}
		rest, ok = bytes.CutPrefix(rest, []byte(","))
	}
	return false
}

// plainString cuts a JSON string off data, unless it has an escape or anything else
// that asks for a closer look.
func plainString(data []byte) (text, rest []byte, ok bool) {
	if data, ok = bytes.CutPrefix(bytes.TrimLeft(data, " "), []byte(`"`)); !ok {
		return nil, nil, false
	}
	ascii := true
	for end, c := range data {
		switch {
		case c == '"':
			text = data[:end]
			return text, data[end+1:], ascii || utf8.Valid(text) && !bytes.ContainsFunc(text, unicode.IsControl)
		case c == '\\' || c < ' ' || c == '\x7f':
			return nil, nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, nil, false
}

// check refuses what could not be stored on every engine, or would be taken for
// something else when read back. The size is limited where events are encoded.
func (m Metadata) check() error {
	for name, value := range m.Extra {
		switch {
		case name == correlationName || name == causationName || name == actorName || strings.HasPrefix(name, reservedPrefix):
			return invalid("metadata.extra", "the name %s is reserved: set the field of that meaning or choose another name", quote(name))
		case !isName(name):
			return invalid("metadata.extra", "%s is not a name: %s", quote(name), nameRule)
		}
		if err := checkText("metadata.extra."+name, value); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{correlationName: m.CorrelationID, causationName: m.CausationID, actorName: m.Actor} {
		if err := checkText("metadata."+name, value); err != nil {
			return err
		}
	}
	return nil
}
