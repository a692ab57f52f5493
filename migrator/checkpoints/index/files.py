"""The files an index refers to: each looked up once, inside the checkpoint, and every range checked against its size."""
from __future__ import annotations

from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.folder import inside
from migrator.checkpoints.storage import Range

HIGHEST = 16
# A node is read whole.  TensorStore writes nodes of 100 MB at most.
MOST_NODE = 1 << 29


class Files:
  """Sizes and real paths of the data files below `root`, a real path."""

  def __init__(self, root: str):
    self.root = root
    self._known: dict[str, tuple[str, int]] = {}

  def range(self, path: str, offset: int, length: int) -> Range:
    """Returns bytes of a file; raises CheckpointError where it leads elsewhere or ends before."""
    if path not in self._known:
      self._known[path] = inside(self.root, path)
    file, size = self._known[path]
    if offset + length > size:
      raise CheckpointError(f'{self.root}: bytes {offset} to {offset + length} of {path} are needed, '
                            f'the file has {size}; {DAMAGED}')
    return Range(file, offset, length)

  def node(self, path: str, offset: int, length: int, height: int) -> Range:
    """Returns the bytes of a node of the index."""
    if height > HIGHEST:
      raise CheckpointError(f'{self.root}: the index has more than {HIGHEST} levels; {DAMAGED}')
    if length > MOST_NODE:
      raise CheckpointError(f'{self.root}: a node of the index has more than {MOST_NODE} bytes; {DAMAGED}')
    return self.range(path, offset, length)


def text(key: bytes, root: str) -> str:
  """Returns a key as text."""
  try:
    return key.decode()
  except UnicodeDecodeError as error:
    raise CheckpointError(f'{root}: the key {key[:80]!r} is no text; {DAMAGED}') from error
