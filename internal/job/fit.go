package job

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/dataset"
	"lethe/verify"
)

// doubtful is the accuracy of a network of so many classes below which another
// preparation of the images is tried: it may explain that.
func doubtful(classes int) float64 { return math.Min(0.5, 5/float64(max(classes, 1))) }

// knowledge is the share of labelled images that a network gets right if each class
// counts the same, and the share that it would get right by chance.
type knowledge struct {
	right, chance float64
	doubt         float64 // the standard error of right where the answers are chance
}

// known returns what a network knows by its confusion. Chance is that its answers do
// not depend on the images; of a single class nothing tells that, and any is as likely.
func known(confusion [][]int) (k knowledge) {
	answers := make([]float64, len(confusion))
	var labels []int
	parts := 0.0
	for label, row := range confusion {
		n := 0
		for _, m := range row {
			n += m
		}
		if n == 0 {
			continue
		}
		labels = append(labels, label)
		k.right += float64(row[label]) / float64(n)
		parts += 1 / float64(n)
		for class, m := range row {
			answers[class] += float64(m) / float64(n)
		}
	}
	n := float64(max(len(labels), 1))
	for _, label := range labels {
		k.chance += answers[label] / (n * n)
	}
	if len(labels) < 2 {
		k.chance = 1 / float64(max(len(confusion), 1))
	}
	k.right /= n
	k.doubt = math.Sqrt(k.chance*(1-k.chance)*parts) / n
	return k
}

// least returns the share from which on a network knows the images: a tenth of the way
// from chance to all, or five times chance if that is less, and more than the
// images leave in doubt.
func (k knowledge) least() float64 {
	above := math.Max(math.Min((1-k.chance)/10, 4*k.chance), 4*k.doubt)
	return k.chance + math.Min(above, (1-k.chance)/2)
}

// CheckAccuracy refuses images of which the network knows hardly more than chance, and
// those of which it would know far more if they were prepared in another way. It is
// given what the unedited network measures on them. The error names the likely reason,
// if one of those that are tried on a sample of the images explains it.
func (d *Data) CheckAccuracy(ctx context.Context, net *verify.Network, before *verify.Measures) error {
	k := known(before.Confusion)
	unknown := k.right < k.least()
	if !unknown && before.Accuracy >= doubtful(net.Classes()) {
		return nil
	}
	convincing := 1.5 * before.Accuracy
	if unknown {
		convincing = math.Max(k.least(), 2*before.Accuracy)
	}
	why := d.reason(ctx, net, before, convincing)
	if why == "" && !unknown {
		return nil
	}
	if why != "" {
		why += "; if these are not images as it was trained on, give those with --data"
	} else {
		why = fmt.Sprintf("hardly more than by chance (%.1f %% and %.1f %%, each class counting the same): it was not trained on such images or not with mean %v and standard deviation %v: give its training data with --data, and --mean and --std if they differ",
			100*k.right, 100*k.chance, d.Norm.Mean, d.Norm.Std)
	}
	return fmt.Errorf("the network gets only %.1f %% of the images right (%s), %s", 100*before.Accuracy, d.Source, why)
}

// sampled is how many images are asked for a reason.
const sampled = 512

// guess is a way in which images may be prepared.
type guess struct {
	name  string // for a person
	flags string
	norm  dataset.Norm
}

func guesses(channels int) []guess {
	all := []guess{
		{"pixels / 255 without a normalization", "--mean 0 --std 1", dataset.OneNorm(0, 1)},
		{"pixels of 0 to 255 as they are", "--scale 1 --mean 0 --std 1", dataset.Norm{Mean: dataset.PerChannel{0}, Std: dataset.PerChannel{1}, Scale: 1}},
		{"mean and deviation of 0.5", "--mean 0.5 --std 0.5", dataset.OneNorm(0.5, 0.5)},
	}
	if channels == 1 {
		all = append(all, guess{"the normalization of Fashion-MNIST", fmt.Sprintf("--mean %v --std %v", dataset.FashionNorm.Mean, dataset.FashionNorm.Std), dataset.FashionNorm})
	}
	if channels == 3 {
		cifar := dataset.Norm{Mean: dataset.PerChannel{0.4914, 0.4822, 0.4465}, Std: dataset.PerChannel{0.2470, 0.2435, 0.2616}}
		for _, g := range []guess{{"the normalization of ImageNet", "", dataset.ImageNetNorm}, {"the normalization of CIFAR-10", "", cifar}} {
			g.flags = fmt.Sprintf("--mean %v --std %v", g.norm.Mean, g.norm.Std)
			all = append(all, g)
		}
	}
	return all
}

// reason tries why a network gets images wrong: the order of the classes, the order of
// the channels, and the normalization. It names the one with which it gets most of them
// right, if that is a convincing share.
func (d *Data) reason(ctx context.Context, net *verify.Network, before *verify.Measures, convincing float64) string {
	best, why := convincing, ""
	// Of a network that knows nothing, too, some order is better than others.
	if share, order := assigned(before.Confusion); share >= math.Max(convincing, doubtful(net.Classes())) {
		best = share
		why = fmt.Sprintf("so the classes are in another order than the network's: with the best assignment (%s) it gets %.1f %% right; name the classes in the network's order (labels.txt, one a line)", order, 100*share)
	}
	if !d.Train.Images() {
		return why
	}
	n := min(d.Train.Len(), sampled)
	idx, all := make([]int, n), make([]int, n)
	for i := range idx {
		idx[i], all[i] = i*d.Train.Len()/n, i
	}
	set := d.Train.Copy(idx)
	try := func(set *dataset.Set, norm dataset.Norm, text string) {
		if m, err := net.Measure(ctx, set, nil, norm, 0); err == nil && m.Accuracy >= best {
			best, why = m.Accuracy, fmt.Sprintf("so %s: on %d of the images it then gets %.1f %% right", text, n, 100*m.Accuracy)
		}
	}
	reversed := set
	if set.Shape[0] == 3 {
		reversed = set.Copy(all)
		plane := set.Shape[1] * set.Shape[2]
		for i := range n {
			image := set.Image(i)
			copy(reversed.Image(i), slices.Concat(image[2*plane:], image[plane:2*plane], image[:plane]))
		}
		other := dataset.BGR
		if d.Preprocess.Channels == dataset.BGR {
			other = dataset.RGB
		}
		try(reversed, d.Norm, "it seems to take its channels in the other order (--channels "+other+")")
	}
	for _, g := range guesses(set.Shape[0]) {
		try(set, g.norm, fmt.Sprintf("it seems to be trained with %s (%s)", g.name, g.flags))
		if reversed != set {
			try(reversed, g.norm, fmt.Sprintf("it seems to take its channels in the other order and to be trained with %s (--channels, %s)", g.name, g.flags))
		}
	}
	return why
}

// assigned gives each label the class that most of its images are taken for, the
// largest counts first and each class once, and returns the share of images
// that are then right, and the first assignments that move a class.
func assigned(confusion [][]int) (share float64, order string) {
	type cell struct{ label, class, n int }
	var cells []cell
	total := 0
	for label, row := range confusion {
		for class, n := range row {
			if total += n; n > 0 {
				cells = append(cells, cell{label, class, n})
			}
		}
	}
	slices.SortStableFunc(cells, func(a, b cell) int { return cmp.Compare(b.n, a.n) })
	labels, classes := map[int]bool{}, map[int]bool{}
	hits, moved := 0, []string{}
	for _, c := range cells {
		if labels[c.label] || classes[c.class] {
			continue
		}
		labels[c.label], classes[c.class] = true, true
		if hits += c.n; c.label != c.class && len(moved) < 10 {
			moved = append(moved, fmt.Sprintf("%d is %d", c.label, c.class))
		}
	}
	if total == 0 {
		return 0, ""
	}
	return float64(hits) / float64(total), strings.Join(moved, ", ")
}
