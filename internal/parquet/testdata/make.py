"""Writes Parquet files whose values are those of value() in parquet_test.go.

    make.py pyarrow DIR    one for each way that pyarrow has, and prints their names
    make.py others DIR     those beside this script, of polars, duckdb, pandas and
                           datasets, which need these modules
"""
import itertools
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq

image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
nest = pa.struct([("a", pa.struct([("b", pa.int64())]))])


def table(n):
    def picture(i):
        if i % 7 == 6:
            return None
        return {"bytes": None if i % 11 == 10 else bytes((i * j + j) % 251 for j in range(i % 40)), "path": "%d.png" % i}
    rows = range(n)
    return pa.table({
        "id": pa.array([i * 7919 % 1000003 - 500000 for i in rows], pa.int64()),
        "small": pa.array([i % 10 for i in rows], pa.int32()),
        "text": pa.array([None if i % 5 == 4 else "text %d" % (i % 17) for i in rows], pa.string()),
        "image": pa.array([picture(i) for i in rows], image),
        "raw": pa.array([b"same prefix %d" % i for i in rows], pa.binary()),
        "flag": pa.array([None if i % 3 == 2 else i % 2 == 0 for i in rows], pa.bool_()),
        "f": pa.array([i / 4 for i in rows], pa.float32()),
        "d": pa.array([i / 3 for i in rows], pa.float64()),
        "nest": pa.array([None if i % 13 == 12 else {"a": {"b": None if i % 4 == 3 else i}} for i in rows], nest),
        "never": pa.array([None for i in rows], pa.int64()),
    })


def pyarrow(folder):
    def write(name, n, **how):
        print(name, n)
        pq.write_table(table(n), os.path.join(folder, name), **how)
    for codec, version, dictionary, small in itertools.product(["none", "snappy", "gzip", "zstd", "lz4"], ["1.0", "2.0"], [True, False], [True, False]):
        write("%s %s %s %s.parquet" % (codec, version, dictionary, small), 500, compression=codec, data_page_version=version, use_dictionary=dictionary,
              data_page_size=200 if small else None, write_batch_size=7 if small else None, row_group_size=130 if small else None, write_page_checksum=small)
    for version in ["1.0", "2.0"]:
        write("delta %s.parquet" % version, 700, data_page_version=version, use_dictionary=False, data_page_size=900, write_batch_size=50, column_encoding={
            "id": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "nest.a.b": "DELTA_BINARY_PACKED", "never": "DELTA_BINARY_PACKED",
            "text": "DELTA_BYTE_ARRAY", "raw": "DELTA_BYTE_ARRAY", "image.bytes": "DELTA_LENGTH_BYTE_ARRAY", "image.path": "DELTA_BYTE_ARRAY", "flag": "RLE"})
    write("large dictionary.parquet", 3000, dictionary_pagesize_limit=500, data_page_size=1000, write_batch_size=100)
    write("one row a group.parquet", 20, row_group_size=1)
    write("no rows.parquet", 0)
    write("split.parquet", 100, use_dictionary=False, column_encoding={name: "BYTE_STREAM_SPLIT" for name in ["id", "small", "f", "d", "nest.a.b"]})
    write("brotli.parquet", 5, compression="brotli")


def others(folder):
    import datasets
    import duckdb
    import pandas
    import polars
    t = table(60)
    for codec in ["zstd", "lz4"]:
        polars.from_arrow(t).write_parquet(os.path.join(folder, "polars-%s.parquet" % codec), compression=codec, row_group_size=35, data_page_size=100, statistics=False)
    for version, codec in [("V1", "snappy"), ("V2", "zstd")]:
        duckdb.sql("copy t to '%s' (format parquet, parquet_version %s, codec '%s')" % (os.path.join(folder, "duckdb-%s.parquet" % version), version, codec))
    pandas.DataFrame({name: t[name].to_pylist() for name in t.column_names}).to_parquet(os.path.join(folder, "pandas.parquet"), compression="gzip")
    datasets.disable_progress_bars()
    datasets.Dataset(t).to_parquet(os.path.join(folder, "datasets.parquet"))


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
