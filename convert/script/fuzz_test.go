package script

import (
	"testing"

	"lethe/convert/aten"
)

// Whatever the code says, it is refused or becomes a program that is refused or
// becomes a graph.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		"return torch.mul(x, 2)",
		"a, b, = torch.chunk(x, 2, 1)\nreturn torch.sub(a, b)",
		"y = x\nfor i in range(3):\n  y = torch.add(y, i)\nreturn y",
		"y = x\n_0 = True\nwhile _0:\n  _0 = False\nreturn y",
		"l = annotate(List[Tensor], [])\n_0 = torch.append(l, x)\nreturn (l[0], {\"a\": torch.neg(x)})",
		"_0 = ops.prim.NumToTensor(torch.size(x, 0))\nreturn torch.view(x, [int(_0), -1])",
		"m = torch.new_zeros(x, [4, 4], dtype=6)\n_0 = torch.fill_(torch.slice(torch.select(m, 0, 1), 0, 1, 3), 2)\nreturn torch.matmul(x, m)",
		"if torch.eq(torch.dim(x), 2):\n  y = torch.softmax(x, -1, None)\nelse:\n  ops.prim.RaiseException(torch.format(\"{}\", 1), \"builtins.ValueError\")\n  y = uninitialized(Tensor)\nreturn y",
		"return torch._native_multi_head_attention(x, x, x, 4, 2, x, x, x, x, None, False, True, None)",
		"return torch._native_multi_head_attention(x, x, x, 4, 2, x, x, x, x)",
		"return torch.max_pool2d(torch.unsqueeze(torch.unsqueeze(x, 1), 1), [1, 2], [1, 2], [0, 0], [1, 1], True)",
		"return torch.cat([x, torch.to(torch.arange(4, dtype=4), 6)], 0)",
		"return torch.upsample_nearest2d(x, [4, 4], [2., 2.])",
		"return \"\\x41\\101\\n\"[0]",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		e := newEvaluator(scripted(body), Options{}, 0)
		e.budget = 20_000
		p, err := e.program()
		if err != nil {
			return
		}
		_, _ = aten.Convert(p, aten.Options{})
	})
}
