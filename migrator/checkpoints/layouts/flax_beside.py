"""Arrays of several processes as flax.training wrote them: a folder for each, below one beside the msgpack file.

`checkpoint_7` holds '//GDAPlaceholder:params/Dense_0/kernel' in an array's place, and `checkpoint_7_gda/params/Dense_0/kernel`
is a zarr 2 array with one piece for each device.
"""
from __future__ import annotations

from migrator.checkpoints import folder, names, whole, zarr
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts import orbax
from migrator.checkpoints.storage import Range, Stored, stored

MARK = '//GDAPlaceholder:'
_SUFFIX = '_gda'
_METADATA = zarr.FILES[2]


def array(file: str, text: str, path: tuple[str, ...]) -> Stored:
  """Returns the array that stands for a placeholder.

  Args:
    file: the msgpack file.
    text: the placeholder.
    path: of the leaf.

  Raises:
    CheckpointError: it names another leaf, is not there, or is damaged.
  """
  name, top = '/'.join(path), folder.real(file + _SUFFIX)
  if text != MARK + name or names.problem(path):
    raise CheckpointError(f'{file}: {names.shown(path)} points to an array of another name; {DAMAGED}')
  try:
    metadata = zarr.checked(2, folder.read_json(top, f'{name}/{_METADATA}'), names.shown(path))
    chunks = {relative: _whole_file(top, f'{name}/{relative}') for relative in orbax.files_below(top, name)
              if relative != _METADATA}
  except CheckpointError as error:
    raise CheckpointError(f'{names.shown(path)}: {error}') from error
  # Where there is no fill value every piece is stored.
  made = stored(2, metadata, orbax.grids(2, metadata, chunks, name, metadata.get('fill_value') is None), kind='jax.Array')
  whole.check(made, name)
  return made


def _whole_file(top: str, relative: str) -> Range:
  file, size = folder.inside(top, relative)
  return Range(file, 0, size)
