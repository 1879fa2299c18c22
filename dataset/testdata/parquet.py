"""Makes train-00000-of-00001.parquet, as Hugging Face's datasets writes images and
labels, of the pictures beside it. Needs pyarrow.

    python3 dataset/testdata/parquet.py
"""
import json, os
import pyarrow as pa, pyarrow.parquet as pq

here = os.path.dirname(os.path.abspath(__file__))
files = ["colours.bmp", "grey.jpg", "colours.bmp", "grey.jpg"]
images = pa.array([{"bytes": open(os.path.join(here, f), "rb").read(), "path": f} for f in files],
                  pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
table = pa.table({"image": images, "coarse_label": pa.array([9, 9, 9, 9]), "label": pa.array([1, 0, 2, 1])})
features = {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}}
table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
pq.write_table(table, os.path.join(here, "train-00000-of-00001.parquet"), row_group_size=3)
