"""Turn the ratings of the Debian package r-cran-dslabs into arrays: 80,000 to train on, 20,004 held out.

    python3 prepare.py --sources DIR --out DIR

A row is a rating: ``dense.npy`` (float32 [n, 21]: a film's genres as 0 or 1 in alphabetical order, and the
film's year as (year - 1992) / 20, 0 where it is not known), ``user.npy`` and ``movie.npy`` (int64 [n]: categories
counted from 0 in the order of their ids) and ``labels.npy`` (int32 [n]: 1 for a rating of 4 stars or more). The
held-out ones bear these names; those to train on stand under the same names in ``train/``. ``lengths.npy`` (int32)
joins the held-out rows to samples, as MLPerf asks DLRM about 100 to 700 pairs of a user and an item at once: sample i
is the next ``lengths[i]`` rows. Writes ``LICENCE.txt`` too. The package keeps its data in R's lazy-load database;
rdata reads the objects in it, and pandas holds them.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rdata
from deb import files, read

if TYPE_CHECKING:
    import pandas as pd

DATABASE = "./usr/lib/R/site-library/dslabs/data/Rdata"
LICENCE = "./usr/share/doc/r-cran-dslabs/copyright"
RATINGS, TRAIN = 100_004, 80_000
SEED = 7  # of the split
LIKED = 4.0  # stars
PAIRS = (100, 100, *12 * (200,), 300, 300, 400, 500, 600, 700)
"""How many pairs a sample has, each as likely: mlcommons/inference, recommendation/dlrm_v2, tools/dist_quantile.txt."""


def stored(index: bytes, database: bytes, name: str) -> pd.DataFrame:
    """An object of a lazy-load database: the index says where its bytes lie; they are zlib's after their length."""
    variables = rdata.conversion.convert(rdata.parser.parse_data(gzip.decompress(index)))["variables"]
    offset, length = (int(each) for each in variables[name])
    found = database[offset : offset + length]
    data = zlib.decompress(found[4:])
    if len(data) != struct.unpack(">I", found[:4])[0]:
        raise ValueError(f"{name} is shorter than the database says")
    return rdata.conversion.convert(rdata.parser.parse_data(data))


def arrays(ratings: pd.DataFrame) -> dict[str, np.ndarray]:
    """What a model is given for each rating, and the label."""
    if len(ratings) != RATINGS:
        raise ValueError(f"movielens holds {len(ratings)} ratings where {RATINGS} were expected")
    genres = ratings["genres"].astype(str).str.get_dummies("|").sort_index(axis=1)
    years = ratings["year"].to_numpy(np.float64)
    scaled = np.where(np.isnan(years), 0.0, (years - 1992) / 20)
    return {
        "dense": np.column_stack([genres.to_numpy(np.float32), scaled.astype(np.float32)]),
        "user": np.unique(ratings["userId"].to_numpy(np.int64), return_inverse=True)[1].astype(np.int64),
        "movie": np.unique(ratings["movieId"].to_numpy(np.int64), return_inverse=True)[1].astype(np.int64),
        "labels": (ratings["rating"].to_numpy(np.float64) >= LIKED).astype(np.int32),
    }


def lengths(rows: int) -> np.ndarray:
    """Rows of each sample, drawn from `PAIRS`; the last sample has what is left, joined to the one before if few."""
    drawn = np.random.RandomState(SEED).choice(PAIRS, rows // min(PAIRS) + 1)
    whole = int(np.searchsorted(drawn.cumsum(), rows, side="right"))
    found, left = drawn[:whole], rows - int(drawn[:whole].sum())
    if left >= min(PAIRS):
        found = np.append(found, left)
    else:
        found[-1] += left
    return found.astype(np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (package,) = options.sources.glob("r-cran-dslabs_*.deb")
    with files(package) as archive:
        found = stored(read(archive, f"{DATABASE}.rdx"), read(archive, f"{DATABASE}.rdb"), "movielens")
        licence = read(archive, LICENCE)
    order = np.random.RandomState(SEED).permutation(RATINGS)  # its stream never changes (NEP 19)
    (options.out / "train").mkdir()
    for name, values in arrays(found).items():
        np.save(options.out / "train" / f"{name}.npy", values[order[:TRAIN]])
        np.save(options.out / f"{name}.npy", values[order[TRAIN:]])
    np.save(options.out / "lengths.npy", lengths(RATINGS - TRAIN))
    (options.out / "LICENCE.txt").write_bytes(licence)


if __name__ == "__main__":
    main()
