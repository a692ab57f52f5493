"""Rewriting the imports of many files: plain data in, text out, so that processes can share the work."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Sequence

from migrator.source.modules import module_from_text

from .imports import ImportRequest, rewrite_imports, unused_in


@dataclasses.dataclass(frozen=True)
class ImportJob:
  """One file whose classes are written and whose imports are not.

  module: dotted name; text: the file so far; aliases: local names bound to Linen; replaced: those whose name now
  means a helper; requests: imports the new text may need.
  """

  module: str
  text: str
  aliases: frozenset[str]
  replaced: frozenset[str]
  requests: tuple[ImportRequest, ...]


def run(job: ImportJob) -> str | ValueError:
  """Returns the text with its imports, or why they cannot be written."""
  module = module_from_text(job.text)
  used = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
  requests = [request for request in job.requests if request.local in used]
  remove = unused_in(module, set(job.aliases)) | set(job.replaced)
  try:
    return rewrite_imports(job.text, remove=remove, add=requests, tree=module.tree)
  except ValueError as error:
    return error


def run_all(jobs: Sequence[ImportJob], processes: int) -> Iterator[str | ValueError]:
  """Yields the results in order; the answer does not depend on the number of processes."""
  if processes < 2 or len(jobs) < 2:
    yield from map(run, jobs)
    return
  import concurrent.futures
  import multiprocessing

  # JAX has threads by now, and a forked process must not inherit them.
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context) as pool:
    yield from pool.map(run, jobs)
