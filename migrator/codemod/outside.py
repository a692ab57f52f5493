"""Methods that only code outside of modules calls: they keep Linen's `init` and `apply`, and run on the Linen face."""

from __future__ import annotations

import ast

from rewrites.bridge import AS_LINEN

from .plan import ClassPlan
from .text import Edits

MARKER = '# TODO(linen2nnx): '


def mark_outside(plan: ClassPlan, method: ast.FunctionDef, edits: Edits) -> None:
  """Puts a marker above a method that stays as it is, and notes it in the report."""
  first = method.decorator_list[0] if method.decorator_list else method
  start = edits.source.line_start(edits.source.own_start(first))
  text = f'uses init or apply of Linen; it runs through {AS_LINEN.name}'
  edits.replace_range(start, start, f'{edits.source.indent(method)}{MARKER}{text}\n')
  plan.assumptions.append(f'{method.name} {text} (line {method.lineno})')
