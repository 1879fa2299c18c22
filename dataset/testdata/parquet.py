"""Makes Parquet files of the pictures beside it: train-00000-of-00001.parquet, as
Hugging Face's datasets writes images and labels; bare.parquet, of bytes and labels
that are floats; texts.parquet, with labels that are texts. Needs pyarrow.

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

bare = pa.table({"image": images.field("bytes"), "label": pa.array([7.0, 3.0, 7.0, 7.0])})
pq.write_table(bare, os.path.join(here, "bare.parquet"), compression="zstd")
texts = pa.table({"image": images, "label": pa.array(["bee", "ant", "bee", "bee"]).dictionary_encode()})
pq.write_table(texts, os.path.join(here, "texts.parquet"), compression="gzip", data_page_version="2.0")
