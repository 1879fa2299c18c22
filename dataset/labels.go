package dataset

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

// readAll reads a file of at most limit bytes.
func readAll(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, &model.LimitError{What: "size of " + name + " in bytes", Got: uint64(len(b)), Limit: uint64(limit)}
	}
	return b, nil
}

// index makes classes, 0 and up, of the labels of a data set, in place, and returns
// their names. They are classes already if none is below 0 and 0 is one of them, or
// all are the same; otherwise they become so in their order, and note says that.
func index(names []string, sets ...[]int) (_ []string, note string, err error) {
	seen := map[int]bool{}
	for _, labels := range sets {
		for _, l := range labels {
			seen[l] = true
		}
	}
	var values []int
	for l := range seen {
		values = append(values, l)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return nil, "", &model.FormatError{Format: "labels", Offset: -1, Reason: "there is no image"}
	}
	least, most := values[0], values[len(values)-1]
	if names != nil {
		if least < 0 || most >= len(names) {
			return nil, "", &model.FormatError{Format: "labels", Offset: -1, Reason: fmt.Sprintf("labels are from %d to %d, and there are names of %d classes", least, most, len(names))}
		}
		return names, "", nil
	}
	if least >= 0 && most <= math.MaxUint16 && (least == 0 || least == most) {
		return numberedNames(most + 1), "", nil
	}
	if len(values) > math.MaxUint16 {
		return nil, "", &model.LimitError{What: "number of labels", Got: uint64(len(values)), Limit: math.MaxUint16}
	}
	at := map[int]int{}
	for i, v := range values {
		at[v] = i
		names = append(names, strconv.Itoa(v))
	}
	for _, labels := range sets {
		for i, l := range labels {
			labels[i] = at[l]
		}
	}
	shown := names[:min(len(names), 12)]
	note = "the labels " + strings.Join(shown, ", ")
	if len(names) > len(shown) {
		note += fmt.Sprintf(", ... %d", most)
	}
	return names, fmt.Sprintf("%s are the classes 0 to %d, in this order", note, len(names)-1), nil
}

// heldShare is one of how many images is held out where nobody made a split.
const heldShare = 6

// heldOut draws by lot which images of each class are for testing. It reports whether
// there are any.
func heldOut(labels []int) (train, test []int) {
	rng := rand.New(rand.NewPCG(0, 0))
	by, order := map[int][]int{}, []int{}
	for i, l := range labels {
		if by[l] == nil {
			order = append(order, l)
		}
		by[l] = append(by[l], i)
	}
	out := make([]bool, len(labels))
	for _, l := range order {
		images := by[l]
		rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
		for _, i := range images[:len(images)/heldShare] {
			out[i] = true
		}
	}
	for i := range labels {
		if out[i] {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	return train, test
}

// splitNote is what a report says of data that was split by heldOut.
func splitNote() string {
	return fmt.Sprintf("the data has no test images: one of %d of each class was held out, drawn with seed 0", heldShare)
}

// some returns the images of an album at idx.
func (a *album) some(idx []int) *album {
	b := &album{
		name:    func(i int) string { return a.name(idx[i]) },
		header:  func(i int) (channels, rows, cols int, err error) { return a.header(idx[i]) },
		picture: func(i int) (picture, error) { return a.picture(idx[i]) },
	}
	for _, i := range idx {
		b.labels = append(b.labels, a.labels[i])
	}
	return b
}

// complete makes the sets of a data set of its albums: their labels become classes,
// and images are held out if test is empty.
func (d *Data) complete(p Preprocess, train, test *album) (err error) {
	if len(train.labels) == 0 {
		return fmt.Errorf("no training images: %w", fs.ErrNotExist)
	}
	var note string
	if d.Names, note, err = index(d.Names, train.labels, test.labels); err != nil {
		return err
	}
	if note != "" {
		d.Notes = append(d.Notes, note)
	}
	if len(test.labels) == 0 {
		left, out := heldOut(train.labels)
		train, test = train.some(left), train.some(out)
		d.Notes = append(d.Notes, splitNote())
	}
	d.Train, d.Test, err = p.load(train, test, len(d.Names))
	return err
}

// fill is complete for images in arrays.
func (d *Data) fill(p Preprocess, train, test *images) error {
	return d.complete(p, train.album(train.labels), test.album(test.labels))
}
