"""Checkpoints in buckets, s3:// and gs://, through TensorStore's stores.

A bucket has no links and no renames, and TensorStore copies nothing inside one, so that the bytes pass through
this machine: a source is brought to a local folder first, in pieces; a target is made locally and then sent file
by file, the file that makes it a checkpoint last.  What an interrupted run sent is removed by the next one.
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from migrator.checkpoints import names
from migrator.checkpoints.errors import DAMAGED, CheckpointError

SCHEMES = ('s3://', 'gs://')
# Without it Orbax sees no checkpoint.
_LAST = '_METADATA'
_PIECE = 32 << 20
# A file is sent whole, so that it is held in memory; larger ones are refused.
MOST_FILE = 4 << 30


def is_remote(place: str) -> bool:
  """Whether a place is in a bucket."""
  return place.startswith(SCHEMES)


@contextlib.contextmanager
def fetched(place: str, scratch: Path | None = None) -> Iterator[Path]:
  """Gives a local copy of a remote checkpoint, which goes when the block ends; a local place is given as it is.

  Args:
    scratch: where the copy lies; the system's temporary folder when None.

  Raises:
    CheckpointError: it cannot be read, or its names lead elsewhere.
  """
  if not is_remote(place):
    yield Path(place)
    return
  import tempfile
  with tempfile.TemporaryDirectory(prefix='linen2nnx-', dir=scratch) as folder:
    top = Path(folder) / place.rstrip('/').rpartition('/')[2]
    with _named(place):
      _fetch(_store(place), place, top)
    yield top


@contextlib.contextmanager
def sent(place: str, scratch: Path | None = None) -> Iterator[Path]:
  """Gives a local path to write to, and sends what is there when the block ends well; a local place is itself.

  Raises:
    CheckpointError: there is a checkpoint already, or it cannot be written.
  """
  if not is_remote(place):
    yield Path(place)
    return
  store = _store(place)
  with _named(place):
    if _exists(store):
      raise CheckpointError(f'{place}: exists already; remove it or name another target')
  import tempfile
  with tempfile.TemporaryDirectory(prefix='linen2nnx-', dir=scratch) as folder:
    made = Path(folder) / place.rstrip('/').rpartition('/')[2]
    yield made
    # Nothing is there after `--dry-run`.
    if os.path.lexists(made):
      with _named(place):
        _send(store, place, made)


def _store(place: str) -> Any:
  import tensorstore as ts
  bucket, _, path = place[len('s3://'):].rstrip('/').partition('/')
  if not bucket or not path:
    raise CheckpointError(f'{place}: name a bucket and a path in it, such as s3://bucket/run/1000')
  if place.startswith('gs://'):
    return ts.KvStore.open({'driver': 'gcs', 'bucket': bucket, 'path': path}).result()
  chosen = {'endpoint': os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL'),
            'aws_region': os.environ.get('AWS_REGION') or os.environ.get('AWS_DEFAULT_REGION')}
  given = {name: value for name, value in chosen.items() if value}
  return ts.KvStore.open({'driver': 's3', 'bucket': bucket, 'path': path, **given}).result()


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
  """Tells of failures by the place's name: no credentials, no bucket, no network."""
  try:
    yield
  except CheckpointError:
    raise
  except (ValueError, RuntimeError, TimeoutError, NotImplementedError) as error:
    reason = str(error).strip().splitlines()[0][:300]
    raise CheckpointError(f'{place}: cannot be reached ({reason}); look at the address and the credentials') from error


def _exists(store: Any) -> bool:
  """A file of that name, or a folder with the file that makes it a checkpoint."""
  return any(_is_there(store, key) for key in ('', f'/{_LAST}'))


def _is_there(store: Any, key: str) -> bool:
  """Asks for one byte; an empty object has none."""
  try:
    return bool(store.read(key, byte_range=slice(0, 1)).result().state == 'value')
  except ValueError as error:
    if 'OUT_OF_RANGE' in str(error):
      return True
    raise


def _fetch(store: Any, place: str, top: Path) -> None:
  keys = [key.decode() for key in store.list().result()]
  # The object of that very name is not listed.
  inside = [key for key in keys if key.startswith('/')] or [''] * _is_there(store, '')
  if not inside:
    raise CheckpointError(f'{place}: there is no such checkpoint; give the folder or file that was saved')
  for key in inside:
    file = top
    if key:
      parts = tuple(key[1:].split('/'))
      found = names.problem(parts)
      if found:
        raise CheckpointError(f'{place}: {found}; {DAMAGED}')
      file = top.joinpath(*parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    _download(store, key, file)


def _download(store: Any, key: str, file: Path) -> None:
  """Brings one object in pieces; an object that changes meanwhile is not mixed."""
  done, version = 0, None
  with file.open('xb') as made:
    while (found := _piece(store, key, done)) is not None:
      if version not in (None, found.stamp.generation):
        raise CheckpointError(f'{key[1:]}: changed while it was read; run again')
      version = found.stamp.generation
      made.write(found.value)
      done += len(found.value)
      if len(found.value) < _PIECE:
        return


def _piece(store: Any, key: str, start: int) -> Any:
  """Returns the next bytes of an object; None behind its end."""
  try:
    return store.read(key, byte_range=slice(start, start + _PIECE)).result()
  except ValueError as error:
    if 'OUT_OF_RANGE' not in str(error):
      raise
  try:
    # The last piece: TensorStore refuses a range that ends behind the object.
    return store.read(key, byte_range=slice(start, None)).result()
  except ValueError as error:
    if 'OUT_OF_RANGE' in str(error):
      return None
    raise


def _send(store: Any, place: str, made: Path) -> None:
  if made.is_file():
    _upload(store, '', made)
    return
  if _exists(store):
    raise CheckpointError(f'{place}: appeared meanwhile; remove it or name another target')
  for key in store.list().result():
    if key.startswith(b'/'):
      store.write(key, None).result()
  files = sorted((file for file in made.rglob('*') if file.is_file()), key=lambda file: (file.name == _LAST, str(file)))
  for file in files:
    _upload(store, '/' + file.relative_to(made).as_posix(), file)


def _upload(store: Any, key: str, file: Path) -> None:
  """Sends one file; the store checks that it came as it was."""
  if file.stat().st_size > MOST_FILE:
    raise CheckpointError(f'{file.name}: {file.stat().st_size} bytes are too many for one object; the limit is {MOST_FILE}')
  store.write(key, file.read_bytes()).result()
