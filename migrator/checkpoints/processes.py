"""The processes of one conversion: this one alone, or all of a job that JAX finds (SLURM, GKE and the like).

Every process opens the source and makes the same plan.  The first one links, writes the index and makes the
target appear; arrays that must be computed are shared out, each process writing a file of its own beside
the index.  Processes speak through JAX's collectives and the staging folder, which all must see.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

from migrator.checkpoints.errors import CheckpointError

_LONGEST = 4096


class Processes:
  """One process: nothing to agree on."""

  count = 1
  index = 0

  @property
  def is_first(self) -> bool:
    return self.index == 0

  def all_well(self, well: bool) -> bool:
    """Waits for all processes, and returns whether all of them are well."""
    return well

  def told(self, text: str) -> str:
    """Returns what the first process says; waits for it."""
    return text

  @contextlib.contextmanager
  def together(self) -> Iterator[None]:
    """Runs a block in every process; where one fails, all do, and none waits for ever.

    Raises:
      CheckpointError: another process failed.
    """
    try:
      yield
    except BaseException:
      self.all_well(False)
      raise
    if not self.all_well(True):
      raise CheckpointError('another process failed; its own message tells why; nothing was written')


ALONE = Processes()


class JaxProcesses(Processes):
  """The processes of jax.distributed."""

  def __init__(self) -> None:
    """Joins the job; JAX finds the others.  Raises CheckpointError where it finds none."""
    import jax
    try:
      # Collectives of processors; accelerators have their own.
      jax.config.update('jax_cpu_collectives_implementation', 'gloo')
      jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
      raise CheckpointError(f'JAX finds no job of several processes here ({error}); start the command in every process '
                            'of a job, or leave --distributed out') from error
    self.count, self.index = jax.process_count(), jax.process_index()

  def all_well(self, well: bool) -> bool:
    """Waits for all processes, and returns whether all of them are well."""
    import numpy as np
    from jax.experimental import multihost_utils
    return bool(np.all(multihost_utils.process_allgather(np.asarray([well]))))

  def told(self, text: str) -> str:
    """Returns what the first process says; waits for it."""
    import numpy as np
    from jax.experimental import multihost_utils
    content = np.zeros(_LONGEST, np.uint8)
    coded = text.encode() if self.is_first else b''
    content[:len(coded)] = np.frombuffer(coded, np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(content), np.uint8)).rstrip(b'\0').decode()
