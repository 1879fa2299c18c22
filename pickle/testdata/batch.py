"""Makes batch2.pkl, as Python 2 wrote the batches of CIFAR, and batch3.pkl, as Python
3 writes them in protocol 2 and batch4.pkl in protocol 4. Needs numpy.

    python3 pickle/testdata/batch.py
"""
import io, os, pickle, struct
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
data = np.array([[0, 127, 128, 255], [1, 2, 3, 200]], np.uint8)
batch = {"batch_label": "batch 1 of 5", "labels": [6, 9], "data": data, "names": [b"a\xe9", "plain"], "more": (None, True, 0.5)}

class Python2(pickle._Pickler):
    """Strings and bytes are both str of Python 2: BINSTRING."""
    dispatch = dict(pickle._Pickler.dispatch)

    def string(self, s):
        b = s.encode("latin1") if isinstance(s, str) else s
        self.write(b"U" + bytes([len(b)]) + b if len(b) < 256 else b"T" + struct.pack("<i", len(b)) + b)
        self.memoize(s)

    dispatch[str] = string
    dispatch[bytes] = string

def write(name, protocol, pickler):
    f = io.BytesIO()
    pickler(f, protocol).dump(batch)
    text = f.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    open(os.path.join(here, name), "wb").write(text)
    print(name, pickle.loads(text, encoding="latin1")["data"].tolist())

write("batch2.pkl", 2, Python2)
write("batch3.pkl", 2, pickle._Pickler)
write("batch4.pkl", 4, pickle._Pickler)
