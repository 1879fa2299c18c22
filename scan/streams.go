package scan

import (
	"fmt"
	"slices"
)

// legacyMagic is the number that starts a file of torch.save before 1.6, in
// little-endian bytes.
const legacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

// isMagic reports whether a value is that number, however it is spelled.
func isMagic(v *value) bool {
	if v == nil || v.kind != atom || !v.known {
		return false
	}
	s := v.s
	for len(s) > len(legacyMagic) && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return s == legacyMagic || v.s == "119547037146038801333356" || v.s == "119547037146038801333356L"
}

// How sure it is that a file is a pickle.
type doubt uint8

const (
	certain doubt = iota // it starts like one, or a loader takes it for one
	perhaps              // it is nothing else that is known
	hardly               // it is something else, or text
)

// streams scans a file as pickles, one after the other, as long as there are
// any. It reports whether the file is a pickle at all.
func (w *walk) streams(p part, sure doubt) (kind string, ok bool) {
	kind = "pickle"
	at := int64(0)
	var seen []*stream
	for at < p.size {
		s, m := w.pickle(p, at, at > 0 || sure != certain)
		if at == 0 && !s.isPickle(m, sure) {
			return "", false
		}
		if at == 0 || s.ended || s.effects {
			m.release()
		}
		m.loadNested()
		w.longFrame(p, s, m)
		if !s.ended {
			if at == 0 || s.effects || s.cut && s.steps > 8 {
				w.gap(p, s.at, "the pickle cannot be read to its end: %s", s.failure)
			} else {
				w.trailing(p, at)
			}
			return kind, true
		}
		at = s.end
		if len(seen) < 5 {
			seen = append(seen, s)
		}
		if len(seen) == 5 && isMagic(seen[0].top) {
			w.legacy(p, seen)
			return "checkpoint of torch before 1.6", true
		}
	}
	if len(seen) > 0 && isMagic(seen[0].top) {
		w.gap(p, p.size, "the checkpoint of torch before 1.6 is cut short")
		return "checkpoint of torch before 1.6", true
	}
	return kind, len(seen) > 0
}

// isPickle reports whether the first pickle of a file is meant.
func (s *stream) isPickle(m *machine, sure doubt) bool {
	switch sure {
	case certain:
		return true
	case perhaps:
		if s.effects || s.ended && (s.end == m.p.size || m.proto > 0 || isMagic(s.top)) {
			return true
		}
		if s.ended { // a number, and another one?
			next, _ := m.w.pickle(m.p, s.end, true)
			return next.ended || next.effects
		}
		return false
	}
	if s.ended && isMagic(s.top) {
		return true
	}
	if s.ended && (s.effects || s.end == m.p.size) {
		return true
	}
	for _, f := range m.held {
		if f.Level == Danger {
			return true
		}
	}
	return false
}

// longFrame looks at a frame that goes on after the end of its pickle.
func (w *walk) longFrame(p part, s *stream, m *machine) {
	if !s.ended || m.frame <= s.end {
		return
	}
	w.find(Finding{Level: Danger, Kind: KindReadings, What: "FRAME", Member: p.member, Offset: s.end,
		Why: "a frame goes on after the end of its pickle: unpicklers disagree on where the next pickle starts"})
	if m.frame < p.size {
		other, m := w.pickle(p, m.frame, true)
		if other.effects {
			m.release()
		}
	}
}

// legacy accounts for what follows the five pickles of a file of torch before
// 1.6: for each key of the last one the number of elements and the elements.
func (w *walk) legacy(p part, pickles []*stream) {
	keys, at := pickles[4].top, pickles[4].end
	sizes := map[string]storageID{}
	for _, s := range pickles[3].storages {
		sizes[s.key] = s
	}
	// A count of 80 elements begins with the letter of a persistent id.
	calls := func(f Finding) bool { return f.Kind != KindExternal }
	if again, m := w.pickle(p, at, true); again.effects && at < p.size && (again.ended || slices.ContainsFunc(m.held, calls)) {
		m.release()
	}
	if keys.kind != list {
		w.gap(p, at, "the names of the storages cannot be told")
		return
	}
	for _, key := range keys.items {
		name, ok := key.str()
		s, known := sizes[name]
		var count [8]byte
		if !ok || !known || s.item == 0 {
			w.gap(p, at, "the storage %q is not one that the checkpoint refers to", clip(name))
			return
		}
		if !w.read(p, count[:], at) {
			w.gap(p, at, "the storages are cut short")
			return
		}
		elements := le.Uint64(count[:])
		if elements > uint64(p.size-at-8)/uint64(s.item) {
			w.gap(p, at, "the storage %q of %d elements is longer than the file", clip(name), elements)
			return
		}
		if s.size >= 0 && s.size != int64(elements)*s.item {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: name, Member: p.member, Offset: at,
				Why: fmt.Sprintf("the storage has %d bytes and the pickle says %d: torch would write over memory or read beyond it", int64(elements)*s.item, s.size)})
		}
		at += 8 + int64(elements)*s.item
	}
	w.trailing(p, at)
}

// loadNested scans the checkpoints that a pickle would load from bytes.
func (m *machine) loadNested() {
	for _, inner := range m.nested {
		m.w.file(inner)
	}
	m.nested = nil
}
