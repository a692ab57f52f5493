"""Writes `as_linen(Class, ...)` where a class that is NNX now is used as a Linen class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from migrator.manifest import ModeFlag
from migrator.report.findings import Finding
from migrator.shapes.outside import outside_methods
from migrator.source.notebooks import is_notebook
from rewrites.bridge import AS_LINEN
from rewrites.with_flags import WITH_FLAGS

from ..plan import ClassPlan
from ..text import Edits, SourceText
from .call_sites import Everything, wrapped
from .references import ModuleReferences

MARKER = '# TODO(linen2nnx): '


def rewrite_call_sites(
  references: ModuleReferences, everything: Everything, edits: Edits
) -> Iterator[tuple[Finding, ClassPlan]]:
  """Registers the edits of one file; yields a finding for each place, and the class it uses."""
  marked: dict[int, list[str]] = {}
  for reference in wrapped(references, everything):
    plan, node = reference.plan, reference.node
    named = with_flags(plan, edits.source.node(node))
    edits.replace(node, f'{AS_LINEN.name}({", ".join([named, *face_arguments(plan)])})')
    names = marked.setdefault(_line_above(edits.source, reference.parents), [])
    if plan.source.node.name not in names:
      names.append(plan.source.node.name)
    yield (
      Finding(
        references.module.relative,
        node.lineno,
        'bridged-call-site',
        f'{plan.source.node.name} is NNX now and is used here as a Linen class, through {AS_LINEN.name}; make it with its sizes and '
        'rngs to leave Linen',
        'warning',
      ),
      plan,
    )
  for offset, names in marked.items():
    indent = edits.source.slice(offset, edits.source.line_end(offset))
    indent = indent[: len(indent) - len(indent.lstrip())]
    verb = 'is' if len(names) == 1 else 'are'
    edits.replace_range(
      offset, offset, f'{indent}{MARKER}{", ".join(names)} {verb} NNX now, used here as Linen\n'
    )


def face_flags(plan: ClassPlan) -> dict[str, list[ModeFlag]]:
  """Returns the flags that a class took in Linen and takes no more, by method in order."""
  found: dict[str, list[ModeFlag]] = {}
  for row in plan.modes:
    if row.name not in plan.threaded:
      found.setdefault(row.method, []).append(row)
  return {method: sorted(rows, key=_place) for method, rows in found.items()}


def _place(row: ModeFlag) -> tuple[bool, int]:
  return row.position is None, row.position or 0


def with_flags(plan: ClassPlan, text: str) -> str:
  """Returns what means the NNX class with the flags of Linen: `with_flags(Net, train=('train', 1, False))`."""
  for method, rows in face_flags(plan).items():
    first = [text] if method == '__call__' else [text, repr(method)]
    given = [f'{row.name}={_flag_row(row)!r}' for row in rows]
    text = f'{WITH_FLAGS.name}({", ".join([*first, *given])})'
  return text


def _flag_row(row: ModeFlag) -> tuple[object, ...]:
  meaning = 'train' if row.training else 'eval'
  if len(row.attributes) < 2:
    meaning = ''.join(f'not {name}' if row.training else name for name in row.attributes)
  return (meaning, row.position) if row.required else (meaning, row.position, row.default)


def face_arguments(plan: ClassPlan) -> list[str]:
  """Returns what the helper has to be told of a class: `in_features=('x', -1)`."""
  found = []
  if plan.call_fields:
    found.append(f'fields={tuple(plan.source.fields)!r}')
  outside = sorted(outside_methods(plan.source))
  if outside:
    found.append(f'outside={tuple(outside)!r}')
  collections = all_collections(plan)
  if collections:
    found.append(f'collections={collections!r}')
  for size in plan.size_arguments:
    if size.asked:
      found.append(f'{size.name}=None')
      continue
    argument = size.argument if size.method == '__call__' else f'{size.method}.{size.argument}'
    found.append(f'{size.name}={(argument, size.axis)!r}')
  return found


def all_collections(plan: ClassPlan) -> dict[str, str]:
  """Returns the collections of the variable classes made for a class and the classes it is built of."""
  found, seen, pending = {}, set(), [plan]
  while pending:
    item = pending.pop()
    if id(item) in seen:
      continue
    seen.add(id(item))
    found.update(item.collections)
    pending += [member.child for member in item.members if member.child is not None]
  return dict(sorted(found.items()))


def _line_above(source: SourceText, parents: tuple[ast.AST, ...]) -> int:
  """Returns the start of the line of the innermost statement that begins a line, or that follows a semicolon."""
  for node in parents:
    if isinstance(node, (ast.stmt, ast.ExceptHandler)):
      start = source.start(node)
      if not source.slice(source.line_start(start), start).strip():
        return source.line_start(start)
  statement = next(node for node in parents if isinstance(node, ast.stmt))
  return source.line_start(source.start(statement))


def helper_place(home: str, module: Any, project: Any) -> str:
  """Returns how `module` imports the helper file `home`: as it imports the neighbours of that file."""
  if is_notebook(module.path) and home.rpartition('.')[0] == module.package and not project.module(module.package):
    return home.rpartition('.')[2]  # a notebook runs in its own folder
  for node in module.nodes.order:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
      found = project.find_module(node.module, module)
      prefix = (found or '').removesuffix(node.module)
      if prefix and found != node.module and home.startswith(prefix):
        return home.removeprefix(prefix)
  return home
