package edit

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lethe/internal/learn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

func unseenOptions(class, threads int) Options {
	o := options
	o.Classes, o.Threads, o.Aim = []int{class}, threads, report.AimUnseen
	return o
}

// A short run loses the class, keeps the others, leaves the last layer and the
// running statistics to the bit, stays sure of what it sees, and gives the same
// bits with any number of threads.
func TestUnseen(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of steps")
	}
	net, sd, set := base(t)
	res, err := forget(context.Background(), net, sd, set, unseenOptions(3, 1), 24)
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, sd, res)
	end := res.Course[len(res.Course)-1]
	if end.Step != 75 || end.Target > 0.6 || end.Remain < 0.8 || end.KL < 0.8 || end.L2 > 6 {
		t.Errorf("after a short edit: step %d, %v", end.Step, end)
	}
	if res.Method.Aim != report.AimUnseen || res.Method.Limits.L2 != 6 || res.Method.Limits.KL != 0 {
		t.Errorf("the method says %+v", res.Method)
	}
	again, err := forget(context.Background(), net, sd, set, unseenOptions(3, 3), 24)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range res.StateDict.All() {
		if same, err := model.SameBits(v, again.StateDict.Get(name)); err != nil || !same {
			t.Errorf("%s: three threads give other bits than one, %v", name, err)
		}
	}
}

// A reference is steered by: the network becomes another one, with the same bits
// on any number of threads. What is no such network is refused.
func TestUnseenReference(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of steps")
	}
	net, sd, set := base(t)
	opts := unseenOptions(3, 1)
	plain, err := forget(context.Background(), net, sd, set, opts, 8)
	if err != nil {
		t.Fatal(err)
	}
	opts.Reference = sd
	first, err := forget(context.Background(), net, sd, set, opts, 8)
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, sd, first)
	opts.Threads = 3
	again, err := forget(context.Background(), net, sd, set, opts, 8)
	if err != nil {
		t.Fatal(err)
	}
	name := first.Method.Trained[0]
	if same, _ := model.SameBits(first.StateDict.Get(name), again.StateDict.Get(name)); !same {
		t.Error("three threads give other bits than one")
	}
	if same, _ := model.SameBits(first.StateDict.Get(name), plain.StateDict.Get(name)); same {
		t.Error("the reference changes nothing")
	}
	if opts.Reference, err = model.NewStateDict(); err != nil {
		t.Fatal(err)
	}
	if _, err := forget(context.Background(), net, sd, set, opts, 8); err == nil || !strings.HasPrefix(err.Error(), "the reference: ") {
		t.Errorf("a reference without weights: %v", err)
	}
}

func TestUnseenStops(t *testing.T) {
	net, sd, set := base(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Forget(ctx, net.Graph(), sd, set, unseenOptions(3, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	opts := unseenOptions(3, 0)
	opts.Aim = "undone"
	if _, err := Forget(context.Background(), net.Graph(), sd, set, opts); err == nil {
		t.Error("an aim that does not exist was taken")
	}
}

// The gradient of the loss of a forgotten image and of another one is that of the
// formula in docs/unseen.md, by central differences.
func TestUnseenLoss(t *testing.T) {
	net, sd, set := base(t)
	u := &unseen{run: &run{opts: unseenOptions(3, 0), net: net, set: set, k: net.Classes(), steps: steps}}
	if err := u.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	u.forget.Draw(u.batch[:forgetBatch])
	u.other.Draw(u.batch[forgetBatch:])
	rng := rand.New(rand.NewPCG(1, 0))
	for j := range u.probe.w {
		u.probe.w[j] = float32(rng.NormFloat64() / 10)
	}
	u.rank, u.sharp, u.labelWeight = 0.4, 1.3, 0.5
	for i := range u.goal {
		u.goal[i] = u.draw(u.batch[i])
	}
	for _, i := range []int{0, forgetBatch + 3} {
		out, grad := make([]float32, u.k+u.d), make([]float32, u.k+u.d)
		for j := range out {
			out[j] = float32(rng.NormFloat64())
		}
		u.loss(i, out, grad, true)
		for j := range out {
			const h = 1.0 / 256
			at := out[j]
			out[j] = at + h
			up := formula(u, i, out)
			out[j] = at - h
			down := formula(u, i, out)
			out[j] = at
			if want := (up - down) / (2 * h); math.Abs(want-float64(grad[j])) > 1e-4*math.Abs(want)+1e-6 {
				t.Errorf("image %d, output %d: gradient %v, want %v", i, j, grad[j], want)
			}
		}
	}
}

// formula is the loss of one image of a step.
func formula(u *unseen, i int, out []float32) float64 {
	logits, features := out[:u.k], out[u.k:]
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	logp := func(c int) float64 { return float64(logits[c]) - math.Log(sum) }
	image, loss := u.batch[i], 0.0
	if i >= forgetBatch {
		for c, p := range u.said[image] {
			loss -= float64(p) * logp(c)
		}
		return (loss - u.labelWeight*logp(u.set.Labels[image])) / otherBatch
	}
	powers := 0.0
	for _, p := range u.masked[image] {
		powers += math.Pow(float64(p), u.sharp)
	}
	for c, p := range u.masked[image] {
		loss -= math.Pow(float64(p), u.sharp) / powers * logp(c)
	}
	var z [10]float64
	for c := range z {
		z[c] = float64(u.probe.w[c*(u.d+1)+u.d])
	}
	for j, f := range features {
		d := float64(f - u.goal[i][j])
		loss += u.feature * d * d / u.variance
		for c := range z {
			z[c] += float64(u.probe.of(c)[j] * u.probe.scale * f)
		}
	}
	all, rest := 0.0, 0.0
	for c, v := range z {
		all += math.Exp(v)
		if c != 3 {
			rest += math.Exp(v)
		}
	}
	loss += u.rank*float64(logits[3]) + u.hide*math.Log(all/rest)
	return loss / forgetBatch
}

// Where relearning goes along with the edit, each call goes a step further from where
// the last one was, and every relearnMost calls it begins anew.
func TestRelearnAlong(t *testing.T) {
	net, sd, set := base(t)
	places := [2][]float32{}
	for i, threads := range []int{1, 3} {
		opts := unseenOptions(3, threads)
		u := &unseen{run: &run{opts: opts, net: net, set: set, k: net.Classes(), steps: 24, ofClasses: forgetBatch, ofOthers: otherBatch}}
		if err := u.prepare(t.Context(), sd); err != nil {
			t.Fatal(err)
		}
		if u.relearned != nil {
			t.Fatal("the relearning of a LeNet goes along with its edit")
		}
		theta := u.both.Theta()
		u.relearned, u.parameters = make([]float32, len(theta)), slices.Clone(theta)
		before := 0.0
		for call := 1; call <= relearnMost+1; call++ {
			u.relearn()
			copy(theta, u.parameters)
			way := 0.0
			for _, d := range u.relearned {
				way += float64(d * d)
			}
			switch {
			case call == relearnMost:
				if way != 0 {
					t.Errorf("after %d calls relearning does not begin anew", call)
				}
			case call > 1 && call < relearnMost/2:
				if !(way > before) {
					t.Errorf("call %d: relearning went from %g to %g", call, before, way)
				}
			case way == 0:
				t.Errorf("call %d: relearning is nowhere", call)
			}
			before = way
		}
		places[i] = u.relearned
	}
	if !slices.Equal(places[0], places[1]) {
		t.Error("three threads lead relearning elsewhere than one")
	}
}

// Every name of a parameter that has several gets the same new values, as with the
// other aim, and every name of the last layer keeps its own.
func TestUnseenAliases(t *testing.T) {
	net, sd, set := base(t)
	_, last, err := learn.Movable(net.Graph(), learn.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	twins := map[string]string{"twin": ops.Parameters(net.Graph())[0], "twin of the last": last[0]}
	entries := []model.Entry{}
	for name, tensor := range sd.All() {
		entries = append(entries, model.Entry{Name: name, Tensor: tensor})
	}
	for twin, name := range twins {
		entries = append(entries, model.Entry{Name: twin, Tensor: sd.Get(name)})
	}
	tied, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	res, err := forget(context.Background(), net, tied, set, unseenOptions(3, 2), 2)
	if err != nil {
		t.Fatal(err)
	}
	for twin, name := range twins {
		if same, err := model.SameBits(res.StateDict.Get(twin), res.StateDict.Get(name)); err != nil || !same {
			t.Errorf("%s has not the values of %s: %v", twin, name, err)
		}
		same, err := model.SameBits(sd.Get(name), res.StateDict.Get(name))
		if moves := name != last[0]; err != nil || same == moves {
			t.Errorf("%s: the values are as before: %v, %v", name, same, err)
		}
	}
}
