"""Element types by the names that zarr 2, zarr 3 and Orbax write."""
from __future__ import annotations

import re
from functools import cache

import ml_dtypes
import numpy as np

from migrator.checkpoints.errors import CheckpointError

# What NumPy has no name of its own for.
EXTENDED = {name: np.dtype(getattr(ml_dtypes, name)) for name in (
  'bfloat16', 'int2', 'int4', 'uint2', 'uint4', 'float8_e3m4', 'float8_e4m3', 'float8_e4m3b11fnuz', 'float8_e4m3fn',
  'float8_e4m3fnuz', 'float8_e5m2', 'float8_e5m2fnuz', 'float8_e8m0fnu', 'float4_e2m1fn')
  if hasattr(ml_dtypes, name)}
_PLAIN = re.compile(r'[<>|][biufc](1|2|4|8|16)|bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)')


@cache
def dtype_named(name: str) -> np.dtype:
  """Returns the type of a name such as '<f4', 'float32' or 'bfloat16'; raises CheckpointError."""
  if name in EXTENDED:
    return EXTENDED[name]
  if not isinstance(name, str) or not _PLAIN.fullmatch(name):
    raise CheckpointError(f'element type {str(name)[:40]!r} is not one of an array of numbers')
  return np.dtype(name)


def zarr2_name(dtype: np.dtype) -> str:
  """Returns the name zarr 2 metadata uses."""
  extended = next((name for name, known in EXTENDED.items() if known == dtype), None)
  return extended or dtype.str


def native(dtype: np.dtype) -> np.dtype:
  """Returns the type in this machine's byte order, as a program sees it."""
  return dtype.newbyteorder('=') if dtype.byteorder in '<>' else dtype
