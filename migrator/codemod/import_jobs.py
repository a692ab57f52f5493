"""Rewriting the imports of a file whose classes are written: plain data in, text out."""

from __future__ import annotations

import ast
import dataclasses

from migrator.source.modules import module_from_text

from .imports import ImportRequest, rewrite_imports, unused_in


@dataclasses.dataclass(frozen=True)
class ImportJob:
  """One file whose classes are written and whose imports are not.

  module: dotted name; text: the file so far; aliases: local names bound to Linen, or that
  nothing may need any more; replaced: those whose name now
  means a helper; requests: imports the new text may need.
  """

  module: str
  text: str
  aliases: frozenset[str]
  replaced: frozenset[str]
  requests: tuple[ImportRequest, ...]


def run(job: ImportJob) -> str:
  """Returns the text with its imports.

  Raises:
    ValueError: they cannot be written.
  """
  module = module_from_text(job.text)
  used = {node.id for node in module.nodes.order if isinstance(node, ast.Name)}
  requests = [request for request in job.requests if request.local in used]
  remove = unused_in(module, set(job.aliases)) | set(job.replaced)
  return rewrite_imports(job.text, remove=remove, add=requests, tree=module.tree)
