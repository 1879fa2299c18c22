"""Makes pil.json and the pictures beside it: what PIL decodes, scales and crops.

    python3 dataset/testdata/make.py    (Pillow, torchvision)
"""
import base64, io, json, os
import numpy as np
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as M

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(1)

def picture(h, w):
    y, x = np.mgrid[0:h, 0:w]
    waves = [128 + 90 * np.sin(x / (2 + c) + y / (5 - c)) + rng.normal(0, 20, (h, w)) for c in range(3)]
    return Image.fromarray(np.clip(np.stack(waves, 2), 0, 255).astype(np.uint8))

cases = []
def case(file, m, resize="", filter="", crop="", channels=""):
    if channels == "grey":
        m = m.convert("L")
    elif m.mode not in ("L",) or channels:
        m = m.convert("RGB")
    mode = {"": M.BILINEAR, "bilinear": M.BILINEAR, "bicubic": M.BICUBIC, "nearest": M.NEAREST, "lanczos": M.LANCZOS, "box": M.BOX, "hamming": M.HAMMING}[filter]
    size = lambda s: int(s) if "x" not in s else tuple(map(int, s.split("x")))
    if resize:
        m = T.Resize(size(resize), mode)(m)
    if crop:
        m = T.CenterCrop(size(crop))(m)
    a = np.asarray(m)
    a = a[None] if a.ndim == 2 else np.ascontiguousarray(a.transpose(2, 0, 1))
    cases.append(dict(file=file, resize=resize, filter=filter, crop=crop, channels=channels, shape=list(a.shape),
                      pixels=base64.b64encode(a.tobytes()).decode()))

def save(name, m, **kw):
    b = io.BytesIO()
    m.save(b, name.rsplit(".")[-1].replace("jpg", "jpeg"), **kw)
    open(os.path.join(here, name), "wb").write(b.getvalue())
    return Image.open(io.BytesIO(b.getvalue()))

png = save("waves.png", picture(17, 23))
for filter in ("bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"):
    for resize in ("9", "8x11", "20x13", "31"):
        case("waves.png", png, resize=resize, filter=filter)
case("waves.png", png, crop="12")
case("waves.png", png, crop="30x10")
case("waves.png", png, resize="12", crop="9")
case("waves.png", png, channels="grey", resize="12")
for name, sub in (("s444.jpg", 0), ("s422.jpg", 1), ("s420.jpg", 2)):
    case(name, save(name, picture(21, 19), quality=90, subsampling=sub))
case("progressive.jpg", save("progressive.jpg", picture(16, 16), quality=75, progressive=True))
case("grey.jpg", save("grey.jpg", picture(11, 10).convert("L"), quality=80))
case("lossy.webp", save("lossy.webp", picture(18, 22), quality=80))
case("lossless.webp", save("lossless.webp", picture(9, 8), lossless=True))
case("palette.png", save("palette.png", picture(9, 8).quantize(16)))
alpha = picture(7, 6).convert("RGBA"); alpha.putalpha(Image.fromarray(rng.integers(0, 256, (7, 6), dtype=np.uint8)))
case("alpha.png", save("alpha.png", alpha))
case("colours.bmp", save("colours.bmp", picture(6, 5)))
with open(os.path.join(here, "pil.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
