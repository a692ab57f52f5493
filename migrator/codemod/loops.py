"""Members made in loops and comprehensions: kept in a list in the order they are made, or in a dict by name."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from .layer_call import Refused
from .names_in import stored, targets

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
LOOPS = (ast.For, ast.While, *COMPREHENSIONS)


def loops_of(path: Sequence[tuple[ast.AST, str]]) -> list[Any]:
  """Returns the loops and comprehensions on a path, outermost first."""
  return [node for node, _ in path if isinstance(node, LOOPS)]


def resolved_name(node: ast.expr | None, method: ast.AST) -> ast.expr | None:
  """Returns what a name expression says: a variable assigned once stands for its value."""
  if not isinstance(node, ast.Name):
    return node
  found = [
    child.value for child in ast.walk(method) if isinstance(child, ast.Assign) and node.id in targets(child)
  ]
  bound = [child for child in ast.walk(method) if node.id in targets(child)]
  return found[0] if len(found) == 1 == len(bound) else node


def key_of(name: ast.expr | None, path: Sequence[tuple[ast.AST, str]]) -> str | None:
  """Returns the variable that tells the elements apart by name; None if they are numbered in the order they are made.

  Raises:
    Refused: the names neither count up nor hold one variable, so the order of the elements cannot be told.
  """
  loops = loops_of(path)
  if name is None or isinstance(name, ast.Constant) or not loops:
    return None
  parts = _computed(name)
  counters = set().union(*(_counters(loop) for loop in loops))
  if all(_counts_up(part, counters) for part in parts):
    return None
  variables = {part.id for part in parts if isinstance(part, ast.Name)}
  if len(variables) == 1 and all(isinstance(part, ast.Name) for part in parts):
    return variables.pop()
  raise Refused(
    f'the name {ast.unparse(name)} does not tell the order of the modules made in the loop (line {name.lineno})'
  )


def _computed(name: ast.expr) -> list[ast.expr]:
  """Returns the computed parts of a name expression."""
  if isinstance(name, ast.JoinedStr):
    return [part.value for part in name.values if isinstance(part, ast.FormattedValue)]
  if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Mod):
    return list(name.right.elts) if isinstance(name.right, ast.Tuple) else [name.right]
  if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
    return [part for side in (name.left, name.right) for part in _computed(side)]
  if isinstance(name, ast.Call) and isinstance(name.func, ast.Attribute) and name.func.attr == 'format':
    return [*name.args, *(item.value for item in name.keywords)]
  if (
    isinstance(name, ast.Call)
    and isinstance(name.func, ast.Name)
    and name.func.id == 'str'
    and len(name.args) == 1
  ):
    return [name.args[0]]
  return [] if isinstance(name, ast.Constant) else [name]


def _counts_up(node: ast.expr, counters: set[str]) -> bool:
  if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
    return _counts_up(node.left, counters) and _counts_up(node.right, counters)
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
    return _counts_up(node.left, counters) and isinstance(node.right, ast.Constant)
  return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in counters)


def _counters(loop: Any) -> set[str]:
  clauses = (
    loop.generators if isinstance(loop, COMPREHENSIONS) else [loop] if isinstance(loop, ast.For) else []
  )
  return {
    name for clause in clauses if (name := counter(clause.target, clause.iter, any_start=True)) is not None
  }


def counter(target: ast.expr, iterable: ast.expr, any_start: bool = False) -> str | None:
  """Returns the variable that counts the passes 0, 1, 2, ... (or from `any_start`, always upwards)."""
  if not (isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name)):
    return None
  found: ast.expr | None = None
  if iterable.func.id == 'range' and (len(iterable.args) == 1 or (any_start and len(iterable.args) == 2)):
    found = target
  if (
    iterable.func.id == 'enumerate'
    and (len(iterable.args) == 1 or any_start)
    and isinstance(target, ast.Tuple)
  ):
    found = target.elts[0]
  return found.id if isinstance(found, ast.Name) and found.id != '_' else None


def clause_text(comprehension: Any, static: Any, used: set[str]) -> str:
  """Returns `for i in range(n) if ...`; `static` writes expressions, variables outside `used` become `_`."""
  parts = []
  for clause in comprehension.generators:
    names = used | {name for test in clause.ifs for name in _words(ast.unparse(test))}
    later = comprehension.generators[comprehension.generators.index(clause) + 1 :]
    names |= {name for item in later for name in _words(ast.unparse(item.iter))}
    parts.append(f'for {target_text(clause.target, names)} in {static(clause.iter)}')
    parts += [f'if {static(test)}' for test in clause.ifs]
  return ' '.join(parts)


def target_text(target: ast.expr, used: set[str]) -> str:
  """Returns a loop target; names that are not used become `_`."""
  if isinstance(target, ast.Name):
    return target.id if target.id in used else '_'
  if isinstance(target, (ast.Tuple, ast.List)):
    items = [
      f'({target_text(item, used)})' if isinstance(item, (ast.Tuple, ast.List)) else target_text(item, used)
      for item in target.elts
    ]
    return ', '.join(items)
  return ast.unparse(target)


def bound(comprehension: Any) -> set[str]:
  """Returns the variables of a comprehension."""
  return {name for clause in comprehension.generators for name in stored(clause.target)}


def _words(text: str) -> set[str]:
  import re

  return set(re.findall(r'[A-Za-z_]\w*', text))
