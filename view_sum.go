package daybook

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// rowSum is a sum over the hashes of rows, in any order: the same for the same rows. What
// was written to a table is told from what is read back by it, however many rows there are.
type rowSum struct {
	rows int64
	sum  [4]uint64
}

func (s *rowSum) add(other rowSum) {
	s.rows += other.rows
	for i := range s.sum {
		s.sum[i] += other.sum[i]
	}
}

func (s *rowSum) subtract(other rowSum) {
	s.rows -= other.rows
	for i := range s.sum {
		s.sum[i] -= other.sum[i]
	}
}

// sumOf is the sum of one row. JSON does not count: an engine may write it otherwise.
func sumOf(values []any) rowSum {
	text := make([]byte, 0, 256)
	for _, value := range values {
		switch v := value.(type) {
		case nil:
			text = append(text, 0)
		case string:
			text = append(binary.AppendUvarint(append(text, 1), uint64(len(v))), v...)
		case int64:
			text = binary.BigEndian.AppendUint64(append(text, 2), uint64(v)) //nolint:gosec // the same bits
		case bool:
			text = append(text, 3, map[bool]byte{true: 1}[v])
		case float64:
			text = binary.BigEndian.AppendUint64(append(text, 4), math.Float64bits(v))
		case UUID:
			text = append(append(text, 5), v[:]...)
		case time.Time:
			text = binary.BigEndian.AppendUint64(append(text, 6), uint64(v.UnixMicro()))
		case []byte:
			text = append(text, 7)
		default:
			panic(fmt.Sprintf("daybook: a %T is in no column", value))
		}
	}
	hash := sha256.Sum256(text)
	out := rowSum{rows: 1}
	for i := range out.sum {
		out.sum[i] = binary.BigEndian.Uint64(hash[8*i:])
	}
	return out
}
