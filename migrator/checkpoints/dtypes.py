"""Element types by the names that zarr 2, zarr 3 and Orbax write; NumPy is imported where values are computed only."""
from __future__ import annotations

import dataclasses
import re
import struct
import sys
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from migrator.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
  import numpy as np

# What NumPy has no name of its own for; bytes of one element.
EXTENDED = {'bfloat16': 2, **dict.fromkeys((
  'int2', 'int4', 'uint2', 'uint4', 'float8_e3m4', 'float8_e4m3', 'float8_e4m3b11fnuz', 'float8_e4m3fn',
  'float8_e4m3fnuz', 'float8_e5m2', 'float8_e5m2fnuz', 'float8_e8m0fnu', 'float4_e2m1fn'), 1)}
_SIZES = {'b': (1,), 'i': (1, 2, 4, 8), 'u': (1, 2, 4, 8), 'f': (2, 4, 8), 'c': (8, 16)}
_WORDS = {'b': 'bool', 'i': 'int', 'u': 'uint', 'f': 'float', 'c': 'complex'}
_NAMED = {'bool': ('b', 1), **{f'{_WORDS[kind]}{8 * size}': (kind, size)
                               for kind, sizes in _SIZES.items() if kind != 'b' for size in sizes}}
_CODED = re.compile(r'([<>|])([biufc])([0-9]{1,2})')
# How the standard library packs one number.
_PACKED = {'bool': '?', 'int8': 'b', 'int16': 'h', 'int32': 'i', 'int64': 'q', 'uint8': 'B', 'uint16': 'H', 'uint32': 'I',
           'uint64': 'Q', 'float16': 'e', 'float32': 'f', 'float64': 'd', 'complex64': 'ff', 'complex128': 'dd'}
_NATIVE = '<' if sys.byteorder == 'little' else '>'


@dataclasses.dataclass(frozen=True, eq=False)
class DType:
  """An element type: name and kind as NumPy's, and the order of its bytes, '<' or '>'.

  NumPy and JAX take it where they take a type, through its attribute `dtype`, and it is equal to theirs.
  """

  name: str
  kind: str
  itemsize: int
  order: str = _NATIVE

  @cached_property
  def dtype(self) -> np.dtype:
    """The type of NumPy."""
    import numpy as np
    if self.name not in EXTENDED:
      return np.dtype(self.code)
    import ml_dtypes
    if not hasattr(ml_dtypes, self.name):
      raise CheckpointError(f'element type {self.name!r} is not known to the installed ml_dtypes; install a newer one')
    return np.dtype(getattr(ml_dtypes, self.name))

  @property
  def code(self) -> str:
    """The name with its byte order, such as '<f4'."""
    return self.name if self.name in EXTENDED else f'{"|" if self.itemsize == 1 else self.order}{self.kind}{self.itemsize}'

  @property
  def is_native(self) -> bool:
    """Whether the bytes have this machine's order."""
    return self.itemsize == 1 or self.order == _NATIVE

  def pack(self, number: Any) -> bytes | None:
    """Returns the bytes of one number; None for types that only NumPy knows."""
    code = _PACKED.get(self.name)
    parts = (number.real, number.imag) if self.kind == 'c' else (number,)
    return None if code is None else struct.pack(self.order + code, *parts)

  def unpack(self, content: bytes) -> Any:
    """Returns the number that some bytes are; None for types that only NumPy knows."""
    code = _PACKED.get(self.name)
    if code is None:
      return None
    parts = struct.unpack(self.order + code, content)
    return complex(*parts) if self.kind == 'c' else parts[0]

  def __str__(self) -> str:
    return self.name if self.is_native else self.code

  def __eq__(self, other: object) -> bool:
    if isinstance(other, DType):
      return (self.name, self.itemsize == 1 or self.order) == (other.name, other.itemsize == 1 or other.order)
    if other is None or isinstance(other, str):
      return NotImplemented
    try:
      return bool(self.dtype == other)
    except TypeError:
      return NotImplemented

  def __hash__(self) -> int:
    return hash(self.name)


@cache
def dtype_named(name: str) -> DType:
  """Returns the type of a name such as '<f4', 'float32' or 'bfloat16'; raises CheckpointError."""
  if name in EXTENDED:
    return DType(name, 'V', EXTENDED[name])
  if name in _NAMED:
    return DType(name, *_NAMED[name])
  found = _CODED.fullmatch(name) if isinstance(name, str) else None
  if found is None or int(found[3]) not in _SIZES[found[2]]:
    raise CheckpointError(f'element type {str(name)[:40]!r} is not one of an array of numbers')
  kind, size = found[2], int(found[3])
  named = 'bool' if kind == 'b' else f'{_WORDS[kind]}{8 * size}'
  return DType(named, kind, size, _NATIVE if found[1] == '|' else found[1])


def dtype_of(dtype: Any) -> DType:
  """Returns a type of NumPy or JAX as one of these."""
  if isinstance(dtype, DType):
    return dtype
  import numpy as np
  found = np.dtype(dtype)
  return dtype_named(found.name if found.name in EXTENDED else found.str)


def zarr2_name(dtype: DType) -> str:
  """Returns the name zarr 2 metadata uses."""
  return dtype.code


def native(dtype: DType) -> DType:
  """Returns the type in this machine's byte order, as a program sees it."""
  return dtype if dtype.is_native else dataclasses.replace(dtype, order=_NATIVE)
