"""What each name of a module, class or function body is bound to, read from statements only."""
from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Kind = Literal['import', 'class', 'function', 'value', 'parameter', 'outer']


@dataclasses.dataclass(frozen=True, eq=False)
class Binding:
  """One name bound at one place.

  kind: 'import', 'class', 'function', 'value' (assigned), 'parameter', or 'outer' (declared global/nonlocal).
  module: for imports, the module asked for, relative dots kept ('.blocks', 'flax', 'a.b').
  attribute: for `from module import attribute`; None for `import module`.
  node: the class or function, or the assigned expression where it is known, else None.
  conditional: bound inside an if, a loop or a try; or one of several ways.
  others: the other bindings of the name in the same body, in source order.
  """

  name: str
  kind: Kind
  line: int
  module: str | None = None
  attribute: str | None = None
  node: ast.AST | None = None
  conditional: bool = False
  others: tuple[Binding, ...] = ()


@dataclasses.dataclass(frozen=True)
class Body:
  """The names bound in one body, and the modules star-imported into it (relative dots kept)."""

  bindings: dict[str, Binding]
  stars: tuple[str, ...] = ()


def read_body(statements: Iterable[ast.stmt], parameters: ast.arguments | None = None,
              expressions: bool = False) -> Body:
  """Reads the bindings of one scope, without the scopes inside it.

  Args:
    statements: the body.
    parameters: the arguments of the function the body belongs to.
    expressions: also look into expressions for `name := value`.
  """
  found: dict[str, list[Binding]] = {}
  stars: list[str] = []
  for binding in _parameters(parameters):
    found.setdefault(binding.name, []).append(binding)
  for statement, conditional in _statements(statements, False):
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == '*':
      stars.append(import_module(statement))
      continue
    for binding in _bound(statement, conditional, expressions):
      found.setdefault(binding.name, []).append(binding)
  return Body({name: _choose(bindings) for name, bindings in found.items()}, tuple(stars))


def _statements(statements: Iterable[ast.stmt], conditional: bool) -> Iterator[tuple[ast.stmt, bool]]:
  """Yields every statement of a body, blocks included, definitions not entered."""
  for statement in statements:
    yield statement, conditional
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
      continue
    inside = conditional or not isinstance(statement, (ast.With, ast.AsyncWith))
    for block in blocks(statement):
      yield from _statements(block, inside)


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
  """Yields the statement lists inside a compound statement, in source order."""
  for name in ('body', 'handlers', 'cases', 'orelse', 'finalbody'):
    part = getattr(statement, name, None)
    if not part:
      continue
    if name in ('handlers', 'cases'):
      yield from (item.body for item in part)
    else:
      yield part


def _choose(bindings: list[Binding]) -> Binding:
  """Picks the binding that counts: the last certain one, else the first possible one; placeholders last."""
  if len(bindings) == 1:
    return bindings[0]
  chosen: Binding | None = None
  for binding in bindings:
    if chosen is None or not binding.conditional or (_placeholder(chosen) and not _placeholder(binding)):
      chosen = binding
  assert chosen is not None
  others = tuple(binding for binding in bindings if binding is not chosen)
  return dataclasses.replace(chosen, others=others)


def _placeholder(binding: Binding) -> bool:
  """Whether the name only holds a stand-in such as None, to be bound for good elsewhere."""
  return binding.kind == 'value' and isinstance(binding.node, ast.Constant)


def _parameters(arguments: ast.arguments | None) -> Iterator[Binding]:
  if arguments is None:
    return
  every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
  yield from (Binding(item.arg, 'parameter', item.lineno) for item in every if item is not None)


def import_module(statement: ast.ImportFrom) -> str:
  """Returns the module of a from-import with its leading dots."""
  return '.' * statement.level + (statement.module or '')


def _bound(statement: ast.stmt, conditional: bool, expressions: bool) -> Iterator[Binding]:
  """Yields what one statement binds itself, blocks not entered."""
  line = statement.lineno
  if isinstance(statement, (ast.Import, ast.ImportFrom)):
    yield from _imports(statement, conditional)
  elif isinstance(statement, ast.ClassDef):
    yield Binding(statement.name, 'class', line, node=statement, conditional=conditional)
  elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
    yield Binding(statement.name, 'function', line, node=statement, conditional=conditional)
  elif isinstance(statement, (ast.Global, ast.Nonlocal)):
    yield from (Binding(name, 'outer', line, conditional=conditional) for name in statement.names)
  else:
    for name, value in _assigned(statement):
      yield Binding(name, 'value', line, node=value, conditional=conditional)
  if expressions:
    yield from _walrus(statement)


def imported_names(statement: ast.Import | ast.ImportFrom) -> list[str]:
  """Returns the local names an import binds."""
  return [binding.name for binding in _imports(statement, False) if binding.name != '*']


def _imports(statement: ast.Import | ast.ImportFrom, conditional: bool) -> Iterator[Binding]:
  line = statement.lineno
  for alias in statement.names:
    if isinstance(statement, ast.ImportFrom):
      yield Binding(alias.asname or alias.name, 'import', line, import_module(statement), alias.name,
                    conditional=conditional)
    elif alias.asname:
      yield Binding(alias.asname, 'import', line, alias.name, conditional=conditional)
    else:
      top = alias.name.partition('.')[0]
      yield Binding(top, 'import', line, top, conditional=conditional)


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
  """Yields (name, value) of whatever assigns; value None when it is not one expression."""
  if isinstance(statement, ast.Assign):
    for target in statement.targets:
      yield from _targets(target, statement.value)
  elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
    yield from _targets(statement.target, statement.value)
  elif isinstance(statement, ast.AugAssign):
    # `__all__ += [...]` adds names; any other sum is not known.
    exports = isinstance(statement.target, ast.Name) and statement.target.id == '__all__'
    yield from _targets(statement.target, statement.value if exports else None)
  elif isinstance(statement, (ast.For, ast.AsyncFor)):
    yield from _targets(statement.target, None)
  elif isinstance(statement, (ast.With, ast.AsyncWith)):
    for item in statement.items:
      if item.optional_vars is not None:
        yield from _targets(item.optional_vars, None)
  elif isinstance(statement, (ast.Try, ast.TryStar)):
    yield from ((handler.name, None) for handler in statement.handlers if handler.name)
  elif isinstance(statement, ast.Match):
    yield from ((name, None) for case in statement.cases for name in _captured(case.pattern))
  elif hasattr(ast, 'TypeAlias') and isinstance(statement, ast.TypeAlias):
    yield statement.name.id, statement.value


def _targets(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
  if isinstance(target, ast.Name):
    yield target.id, value
  elif isinstance(target, ast.Starred):
    yield from _targets(target.value, None)
  elif isinstance(target, (ast.Tuple, ast.List)):
    values = _elements(value, len(target.elts))
    for item, element in zip(target.elts, values, strict=True):
      yield from _targets(item, element)


def _elements(value: ast.expr | None, count: int) -> list[ast.expr | None]:
  """Splits `a, b = x, y` into its pairs; unknown values where the right side is no plain tuple."""
  if not isinstance(value, (ast.Tuple, ast.List)) or len(value.elts) != count:
    return [None] * count
  if any(isinstance(item, ast.Starred) for item in value.elts):
    return [None] * count
  return list(value.elts)


def _captured(pattern: ast.pattern) -> Iterator[str]:
  for node in ast.walk(pattern):
    name = node.rest if isinstance(node, ast.MatchMapping) else getattr(node, 'name', None)
    if name:
      yield name


def _walrus(statement: ast.stmt) -> Iterator[Binding]:
  """Yields the `name := value` of one statement, blocks and inner scopes not entered (comprehensions are)."""
  stack: list[ast.AST] = [
    node for node in ast.iter_child_nodes(statement) if isinstance(node, (ast.expr, ast.withitem))]
  if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
    stack = list(statement.decorator_list)
  while stack:
    node = stack.pop()
    if isinstance(node, ast.NamedExpr):
      yield Binding(node.target.id, 'value', node.lineno, node=node.value, conditional=True)
    if not isinstance(node, ast.Lambda):
      stack.extend(ast.iter_child_nodes(node))
