"""safetensors files whose keys are paths, 'params/Dense_0/kernel' or 'params.Dense_0.kernel'.

Format: https://github.com/huggingface/safetensors#format, eight bytes with the length of a JSON header,
the header, then the bytes of the arrays without a gap.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from migrator.checkpoints import expressions, folder, storage
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.dtypes import dtype_named
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts.paths import nested, separated
from migrator.checkpoints.operations.evaluate import evaluate
from migrator.checkpoints.storage import Range

NAME = 'safetensors'
SUFFIX = '.safetensors'
# The limit of the format's own library.
LONGEST_HEADER = 100_000_000
TYPES = {
  'BOOL': 'bool', 'U8': 'uint8', 'I8': 'int8', 'U16': 'uint16', 'I16': 'int16', 'U32': 'uint32', 'I32': 'int32',
  'U64': 'uint64', 'I64': 'int64', 'F16': 'float16', 'BF16': 'bfloat16', 'F32': 'float32', 'F64': 'float64',
  'C64': 'complex64', 'F8_E4M3': 'float8_e4m3fn', 'F8_E5M2': 'float8_e5m2', 'F8_E8M0': 'float8_e8m0fnu',
}
_NAMES = {name: kind for kind, name in TYPES.items()}


def recognises(path: Path) -> bool:
  """Whether the file is named so, or begins with the length of a JSON header."""
  if not path.is_file():
    return False
  if path.suffix == SUFFIX:
    return True
  with path.open('rb') as file:
    start = file.read(9)
  return len(start) == 9 and int.from_bytes(start[:8], 'little') <= LONGEST_HEADER and start[8:] == b'{'


def read(path: Path) -> Checkpoint:
  """Returns the checkpoint of a file.  Raises CheckpointError where it is damaged or hostile."""
  file = os.path.realpath(path)
  header, start = _header(file)
  header.pop('__metadata__', None)
  size, end, found = os.path.getsize(file), start, {}
  for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
    found[name] = _array(file, name, entry, start, end)
    end = start + entry['data_offsets'][1]
  if end != size:
    raise CheckpointError(f'{path}: the arrays end at byte {end}, the file has {size}; {DAMAGED}')
  return Checkpoint(path, NAME, nested({parts: expressions.source(parts, found[name])
                                        for name, parts in separated(found, path).items()}, path))


def _header(file: str) -> tuple[dict[str, Any], int]:
  size = os.path.getsize(file)
  length = int.from_bytes(folder.read(file, 0, 8), 'little')
  if length > min(LONGEST_HEADER, size - 8):
    raise CheckpointError(f'{file}: no safetensors file: a header of {length} bytes in {size}; {DAMAGED}')
  header = folder.parse_json(folder.read(file, 8, length), file)
  if not isinstance(header, dict):
    raise CheckpointError(f'{file}: no safetensors file: its header is no JSON object; {DAMAGED}')
  return header, 8 + length


def _begin(entry: Any) -> tuple[int, int]:
  offsets = entry.get('data_offsets') if isinstance(entry, dict) else None
  whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)
  return (offsets[0], offsets[1]) if whole and offsets is not None else (-1, -1)


def _array(file: str, name: str, entry: Any, start: int, end: int) -> storage.Stored:
  begin, stop = _begin(entry)
  where = f'{file}: {name[:200]!r}'
  if begin < 0 or stop < begin or start + begin != end:
    raise CheckpointError(f'{where}: its bytes do not follow those before them; {DAMAGED}')
  if start + stop > os.path.getsize(file):
    raise CheckpointError(f'{where}: its bytes end behind the end of the file; {DAMAGED}')
  if entry.get('dtype') not in TYPES:
    raise CheckpointError(f'{where}: the type {str(entry.get("dtype"))[:40]!r} has no array of numbers in JAX')
  if not isinstance(entry.get('shape'), list):
    raise CheckpointError(f'{where}: it has no shape; {DAMAGED}')
  try:
    return storage.raw(tuple(entry['shape']), dtype_named(TYPES[entry['dtype']]), Range(file, start + begin, stop - begin))
  except CheckpointError as error:
    raise CheckpointError(f'{where}: {error}; {DAMAGED}') from error


def write(place: Path, plan: Mapping[tuple[str | int, ...], Any], copy: bool = True, budget: int = 0) -> None:
  """Writes a plan as one file with keys joined by dots, as flax's `flatten_dict(tree, sep='.')`; array by array.

  Raises CheckpointError for what safetensors has no place for: text, other types, typed random keys.
  """
  header: dict[str, Any] = {}
  end = 0
  for path, value in plan.items():
    name = '.'.join(map(str, path))
    header[name] = {'dtype': _type_name(name, value), 'shape': list(value.shape), 'data_offsets': [end, end + value.nbytes]}
    end += value.nbytes
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 8)
  with place.open('wb') as file:
    file.write(len(text).to_bytes(8, 'little') + text)
    for value in plan.values():
      file.write(np.ascontiguousarray(evaluate(value)).reshape(-1).view(np.uint8).data)
    file.flush()
    os.fsync(file.fileno())


def _type_name(name: str, value: Any) -> str:
  if not isinstance(value, expressions.Expression):
    raise CheckpointError(f'{name}: safetensors holds arrays only, not {value!r}; write an Orbax checkpoint instead')
  if isinstance(value, expressions.Source) and value.stored.extra:
    raise CheckpointError(f'{name}: safetensors has no typed random keys; write an Orbax checkpoint instead')
  if value.dtype.name not in _NAMES:
    raise CheckpointError(f'{name}: safetensors has no type {value.dtype}; write an Orbax checkpoint instead')
  return _NAMES[value.dtype.name]
