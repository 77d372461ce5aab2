package daybook

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// compareKeys orders keys as SQL does.
func compareKeys(a, b []any) int {
	for i := range a {
		if c := compareValues(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(a, b any) int {
	switch x := a.(type) {
	case string:
		y, _ := b.(string)
		return strings.Compare(x, y)
	case int64:
		y, _ := b.(int64)
		return cmp.Compare(x, y)
	case bool:
		y, _ := b.(bool)
		return cmp.Compare(map[bool]int{true: 1}[x], map[bool]int{true: 1}[y])
	case UUID:
		y, _ := b.(UUID)
		return bytes.Compare(x[:], y[:])
	case time.Time:
		y, _ := b.(time.Time)
		return x.Compare(y)
	default:
		panic(fmt.Sprintf("daybook: a %T is in no key", a))
	}
}

// valueText says a value of a column in words that are the same for the same values only.
func valueText(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case UUID:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []byte:
		return string(v)
	default:
		panic(fmt.Sprintf("daybook: a %T is in no column", value))
	}
}

// keyText is a key in words: its columns, with '/' between.
func keyText(key []any) string {
	parts := make([]string, len(key))
	for i, value := range key {
		parts[i] = valueText(value)
		if len(key) > 1 {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], `\`, `\\`), "/", `\/`)
		}
	}
	return strings.Join(parts, "/")
}
