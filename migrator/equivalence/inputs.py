"""The call inputs of a case: reading 'f32[2,8]' and making the same numbers on both sides."""
from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Any

import numpy as np

DTYPES = {
  'f16': 'float16', 'bf16': 'bfloat16', 'f32': 'float32', 'f64': 'float64',
  'i8': 'int8', 'i16': 'int16', 'i32': 'int32', 'i64': 'int64',
  'u8': 'uint8', 'u16': 'uint16', 'u32': 'uint32', 'u64': 'uint64',
  'bool': 'bool', 'c64': 'complex64',
}
_SPEC = re.compile(r'\s*(?P<dtype>\w+)\s*\[(?P<shape>[^\]]*)\]\s*(?:<\s*(?P<bound>\d+))?\s*')
_ALLOWED = ("'f32[2,8]', 'i32[2,8] < 100', 'bool[2]' or '=expression', with a dtype out of "
            + ', '.join(DTYPES))


class SpecError(ValueError):
  """The text of an input cannot be read; the message says what is allowed."""


@dataclasses.dataclass(frozen=True)
class ArraySpec:
  """A random array: `dtype` is a NumPy name, whole numbers lie in [0, bound)."""

  dtype: str
  shape: tuple[int, ...]
  bound: int | None = None


@dataclasses.dataclass(frozen=True)
class Expression:
  """A Python expression evaluated where the model is."""

  text: str


def parse_spec(text: str) -> ArraySpec | Expression:
  """Reads the text of one call input.

  Raises:
    SpecError: it is none of the allowed forms.
  """
  if text.startswith('='):
    return Expression(text[1:].strip())
  match = _SPEC.fullmatch(text)
  if match is None or match['dtype'] not in DTYPES:
    raise SpecError(f'{text!r} is no input; allowed: {_ALLOWED}')
  parts = [part.strip() for part in match['shape'].split(',') if part.strip()]
  if not all(part.isdecimal() for part in parts):
    raise SpecError(f'{text!r}: the shape must be whole numbers; allowed: {_ALLOWED}')
  dtype, bound = DTYPES[match['dtype']], match['bound']
  is_integer = 'int' in dtype
  if bound is not None and (not is_integer or int(bound) < 1):
    raise SpecError(f'{text!r}: a bound of at least 1 is for integer dtypes only; allowed: {_ALLOWED}')
  if is_integer and bound is None:
    raise SpecError(f"{text!r}: random whole numbers need a bound; write '{text.strip()} < 100'")
  return ArraySpec(dtype, tuple(int(part) for part in parts), int(bound) if bound else None)


def generator(*words: str) -> np.random.Generator:
  """Returns a generator seeded by the words alone, the same in every process and version of Python."""
  digest = hashlib.sha256('\0'.join(words).encode()).digest()
  return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], 'big')))


def make_array(spec: ArraySpec, *words: str) -> np.ndarray:
  """Returns the random array of a spec; the words seed it."""
  random = generator('input', *words)
  if spec.dtype == 'bool':
    return random.random(spec.shape) < 0.5
  if spec.bound is not None:
    return random.integers(0, spec.bound, spec.shape).astype(spec.dtype)
  numbers = random.standard_normal(spec.shape)
  if spec.dtype == 'complex64':
    return np.asarray(numbers + 1j * random.standard_normal(spec.shape), np.complex64)
  return np.asarray(numbers, np.float32 if spec.dtype == 'bfloat16' else spec.dtype).astype(dtype(spec.dtype))


def dtype(name: str) -> np.dtype:
  """Returns the NumPy dtype of a name, including those only ml_dtypes has, such as 'bfloat16'."""
  import ml_dtypes
  extended: Any = getattr(ml_dtypes, name, None)
  return np.dtype(extended) if extended is not None else np.dtype(name)
