"""The helper file of a migrated package: native NNX code for what NNX lacks, only what is used."""

from __future__ import annotations

import ast
from typing import Any

_TITLE = '"""NNX modules and functions that compute what Flax Linen computes, where NNX has no exact counterpart."""\n'


def helper_text(needed: dict[str, Any], before: str) -> str:
  """Returns the text of the helper file: what it holds already, and what is needed and missing.

  Args:
    needed: helpers by name; before: present text of the file, '' if there is none.
  """
  present = (
    {node.name for node in ast.parse(before).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    if before
    else set()
  )
  wanted = _with_uses(needed)
  missing = [helper for name, helper in sorted(wanted.items()) if name not in present]
  if before and not missing:
    return before
  imports = _imports([line for helper in missing for line in helper.imports], before)
  body = '\n\n'.join(helper.source.strip() + '\n' for helper in missing)
  if before:
    return before.rstrip('\n') + '\n' + (f'\n{imports}' if imports else '') + f'\n\n{body}'
  return f'{_TITLE}{imports}\n\n{body}'


def _with_uses(needed: dict[str, Any]) -> dict[str, Any]:
  from rewrites.registry import layers, registry

  known = {
    helper.name: helper
    for layer in layers()
    for helper in [layer.helper, *layer.exact_helper.values()]
    if helper is not None
  }
  known.update({helper.name: helper for helper in registry().function_helpers.values()})
  for argument in (argument for layer in layers() for argument in layer.arguments):
    if argument.wrap is not None:
      known[argument.wrap.name] = argument.wrap
  wanted = dict(needed)
  pending = list(wanted.values())
  while pending:
    for name in pending.pop().uses:
      if name not in wanted and name in known:
        wanted[name] = known[name]
        pending.append(known[name])
  return wanted


def _imports(lines: list[str], before: str) -> str:
  fresh = sorted(
    {line for line in lines if line not in before.split('\n')}, key=lambda line: (_group(line), line)
  )
  return '\n'.join(fresh) + ('\n' if fresh else '')


def _group(line: str) -> int:
  return 1 if any(name in line for name in ('jax', 'flax', 'numpy', 'optax')) else 0
