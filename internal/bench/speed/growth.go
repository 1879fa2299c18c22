package main

import (
	"context"
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"lethe/dataset"
	"lethe/edit"
	"lethe/internal/network"
	"lethe/pickle"
)

// cost is a measurement beside its bound: the floating-point operations it takes
// over what the processor can do.
type cost struct {
	series         string
	x              float64
	seconds, bound float64
}

// growthSection prints how the cost of an evaluation, an edit and a training
// step grows, and draws it if -picture names a file.
func growthSection() error {
	var all []cost
	for _, threads := range []int{1, 2} {
		top := peak(threads)
		images, err := imageCosts(threads, top)
		if err != nil {
			return err
		}
		channels, err := channelCosts(threads, top)
		if err != nil {
			return err
		}
		all = slices.Concat(all, images, channels)
	}
	fmt.Println("| what | x | seconds | bound | of the bound |\n|---|---|---|---|---|")
	for _, c := range all {
		fmt.Printf("| %s | %g | %.4f | %.4f | %.0f %% |\n", c.series, c.x, c.seconds, c.bound, 100*c.bound/c.seconds)
	}
	if *picture == "" {
		return nil
	}
	return os.WriteFile(*picture, []byte(draw(all)), 0o666)
}

// imageCosts times the evaluation of a network on more and more images, and an
// edit with them: Fashion-MNIST's, again and again.
func imageCosts(threads int, top float64) ([]cost, error) {
	ctx := context.Background()
	d, err := dataset.Open(*data)
	if err != nil {
		return nil, err
	}
	n, err := network.Open(ctx, *base, nil, pickle.Options{})
	if err != nil {
		return nil, err
	}
	defer n.Close()
	_, forward, training, err := leNet(1)
	if err != nil {
		return nil, err
	}
	var evaluations, edits []cost
	for _, images := range []int{6_000, 60_000, 600_000} {
		index := make([]int, images)
		for i := range index {
			index[i] = i % d.Train.Len()
		}
		set := d.Train.Subset(index)
		start := time.Now()
		if _, err := n.Net.Measure(ctx, set, []int{*class}, dataset.FashionNorm, threads); err != nil {
			return nil, err
		}
		evaluations = append(evaluations, cost{fmt.Sprintf("evaluation by images, threads: %d", threads), float64(images),
			time.Since(start).Seconds(), float64(images) * forward / top})
		start = time.Now()
		res, err := edit.Forget(ctx, n.Graph, n.State, set, edit.Options{Classes: []int{*class}, Norm: dataset.FashionNorm, Threads: threads})
		if err != nil {
			return nil, err
		}
		seen := float64(res.Method.Steps * (res.Method.Forgotten + res.Method.Others))
		edits = append(edits, cost{fmt.Sprintf("edit by images, threads: %d", threads), float64(images),
			time.Since(start).Seconds(), seen * training / top})
	}
	return slices.Concat(evaluations, edits), nil
}

// channelCosts times a training step of wider and wider networks.
func channelCosts(threads int, top float64) ([]cost, error) {
	const batch = 256
	var all []cost
	for scale := 1; scale <= 16; scale *= 2 {
		net, _, flops, err := leNet(scale)
		if err != nil {
			return nil, err
		}
		step, _, err := training(net, batch, threads)
		if err != nil {
			return nil, err
		}
		all = append(all, cost{fmt.Sprintf("step of %d images by channels, threads: %d", batch, threads), float64(scale),
			best(step).Seconds(), batch * flops / top})
	}
	return all, nil
}

// draw returns the costs as SVG, both axes logarithmic: a panel for each kind of
// measurement, a line for each number of threads, dashed for the bound.
func draw(all []cost) string {
	const width, height, left, top, w, h = 960, 330, 60, 50, 230, 210
	colours := []string{"#1b6ca8", "#c2571a"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<title>How cost grows</title><rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	kind := func(c cost) string { return strings.SplitN(c.series, ", ", 2)[0] }
	var kinds []string
	for _, c := range all {
		if !slices.Contains(kinds, kind(c)) {
			kinds = append(kinds, kind(c))
		}
	}
	for k, name := range kinds {
		var panel []cost
		for _, c := range all {
			if kind(c) == name {
				panel = append(panel, c)
			}
		}
		x0, x1 := math.Inf(1), 0.0
		y0, y1 := math.Inf(1), 0.0
		for _, c := range panel {
			x0, x1 = min(x0, c.x), max(x1, c.x)
			y0, y1 = min(y0, c.bound), max(y1, c.seconds)
		}
		y0, y1 = math.Pow(10, math.Floor(math.Log10(y0))), math.Pow(10, math.Ceil(math.Log10(y1)))
		origin := left + k*(w+80)
		at := func(x, y float64) string {
			return fmt.Sprintf("%.1f,%.1f", float64(origin)+w*math.Log(x/x0)/math.Log(x1/x0), top+h-h*math.Log(y/y0)/math.Log(y1/y0))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="13" font-weight="bold">%s</text>`+"\n", origin, top-18, html.EscapeString(name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#bbb"/>`+"\n", origin, top, w, h)
		for y := y0; y <= y1*1.01; y *= 10 {
			p := strings.Split(at(x0, y), ",")
			fmt.Fprintf(&b, `<path d="M%s H%d" stroke="#e5e5e5"/><text x="%d" y="%s" text-anchor="end" dominant-baseline="middle">%g s</text>`+"\n", at(x0, y), origin+w, origin-6, p[1], y)
		}
		for i, c := range panel {
			if i > 0 && panel[i-1].series != c.series {
				break
			}
			p := strings.Split(at(c.x, y0), ",")
			fmt.Fprintf(&b, `<text x="%s" y="%d" text-anchor="middle">%g</text>`+"\n", p[0], top+h+18, c.x)
		}
		line := 0
		for from := 0; from < len(panel); {
			to := from
			for to < len(panel) && panel[to].series == panel[from].series {
				to++
			}
			var measured, bound []string
			for _, c := range panel[from:to] {
				measured, bound = append(measured, at(c.x, c.seconds)), append(bound, at(c.x, c.bound))
			}
			colour := colours[line%len(colours)]
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(measured, " "), colour)
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-dasharray="4 3"/>`+"\n", strings.Join(bound, " "), colour)
			if k == 0 {
				fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s; dashed: operations / peak</text>`+"\n", left+line*330, height-14, colour, html.EscapeString(strings.SplitN(panel[from].series, ", ", 2)[1]))
			}
			from, line = to, line+1
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
