"""What the methods of a written class do with modules: the calls, and the places where modules go out of sight."""

from __future__ import annotations

import ast
import dataclasses

from .kinds import _LOOSE, _VIEWS, Kind, Modules, Scope, is_own
from .texts import Written

_HARMLESS = frozenset({'isinstance', 'len', 'type', 'id', 'bool', 'hasattr', 'print', 'append', 'insert', 'extend', 'range'})
_HOLDERS = (
  ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.Starred, ast.BoolOp,
  ast.BinOp, ast.Compare, ast.Expr, ast.For, ast.comprehension, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.UnaryOp,
  ast.If, ast.While, ast.Assert, ast.FormattedValue,
)


@dataclasses.dataclass(eq=False)
class Site:
  """A call of modules in a method.

  targets: the written classes and the method of each that may run; layers: layers that may be called.
  others: something may be called that is no NNX module of this repository.
  """

  owner: Written
  method: str
  node: ast.Call
  targets: list[tuple[Written, str]]
  layers: list[Kind]
  others: bool = False


@dataclasses.dataclass(eq=False)
class Found:
  """What one method does.  escapes: (class, method or None for all) that are handed on, with the place."""

  owner: Written
  name: str
  node: ast.FunctionDef
  scope: Scope
  parents: dict[ast.AST, ast.AST]
  sites: list[Site]
  escapes: list[tuple[str, str | None, str]]


def read_method(modules: Modules, owner: Written, name: str) -> Found:
  """Reads the calls of modules in one method."""
  node = owner.methods[name]
  scope = Scope(modules, owner.name, node)
  parents = {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}
  found = Found(owner, name, node, scope, parents, [], [])
  for item in ast.walk(node):
    if not isinstance(item, ast.expr):
      continue
    parent = parents[item]
    made = modules.made(owner.name, item.func) if isinstance(item, ast.Call) else None
    if made is not None and name == '__init__':
      found.sites.append(Site(owner, name, item, [(modules.classes[made], '__init__')], []))  # type: ignore[arg-type]
    if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Load):
      _own_method(modules, found, item, parent)
    kinds = scope.kinds(item)
    if not kinds or isinstance(getattr(item, 'ctx', None), (ast.Store, ast.Del)):
      continue
    if isinstance(parent, ast.Call) and parent.func is item:
      found.sites.append(_site(modules, found, parent, kinds, '__call__'))
    elif isinstance(parent, ast.Attribute):
      _attribute(modules, found, item, parent, kinds)
    elif not _stays_in_sight(modules, found, parent):
      found.escapes += [(kind.name, None, _place(found, parent)) for kind in kinds if kind.name]
  return found


def _site(modules: Modules, found: Found, call: ast.Call, kinds: frozenset[Kind], method: str) -> Site:
  targets = [(target, method) for kind in kinds if kind.name for target in modules.methods(kind.name, method)]
  layers = [kind for kind in kinds if kind.member is not None] if method == '__call__' else []
  others = any(not kind.name and kind.member is None or kind.name and not modules.methods(kind.name, method) for kind in kinds)
  unique = {(target.name, method): (target, method) for target, method in targets}
  return Site(found.owner, found.name, call, list(unique.values()), layers, others)


def _own_method(modules: Modules, found: Found, item: ast.Attribute, parent: ast.AST) -> None:
  """`self.encode(...)` and `super().encode(...)`; a method that is not called there is handed on."""
  above = isinstance(item.value, ast.Call) and isinstance(item.value.func, ast.Name) and item.value.func.id == 'super'
  if not (above or is_own(item, found.scope.receiver)):
    return
  targets = modules.methods(found.owner.name, item.attr)
  if above:
    names = modules.mro(found.owner.name)[1:]
    first = next((name for name in names if item.attr in modules.classes[name].methods), None)
    targets = [modules.classes[first]] if first is not None else []
  if not targets or any(_is_property(target.methods[item.attr]) for target in targets):
    return
  if isinstance(parent, ast.Call) and parent.func is item:
    found.sites.append(Site(found.owner, found.name, parent, [(target, item.attr) for target in targets], []))
  else:
    found.escapes += [(target.name, item.attr, _place(found, parent)) for target in targets]


def _is_property(method: ast.FunctionDef) -> bool:
  return any(isinstance(item, ast.Name) and 'property' in item.id for item in method.decorator_list)


def _attribute(
  modules: Modules, found: Found, item: ast.expr, parent: ast.Attribute, kinds: frozenset[Kind]
) -> None:
  """`self.encoder.encode(...)`; what is only read is no call."""
  named = frozenset(kind for kind in kinds if kind.name and modules.methods(kind.name, parent.attr))
  if not named:
    return
  above = found.parents[parent]
  if isinstance(above, ast.Call) and above.func is parent:
    found.sites.append(_site(modules, found, above, named, parent.attr))
    return
  found.escapes += [(kind.name, parent.attr, _place(found, above)) for kind in named]


def _stays_in_sight(modules: Modules, found: Found, parent: ast.AST) -> bool:
  if isinstance(parent, (ast.Call, ast.keyword)):
    call = parent if isinstance(parent, ast.Call) else found.parents[parent]
    assert isinstance(call, ast.Call)
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, 'attr', '')
    # The attribute of the class it is given to holds it.
    known = found.name == '__init__' and modules.made(found.owner.name, call.func) is not None
    return name in _LOOSE | _VIEWS | _HARMLESS or known
  return isinstance(parent, (ast.Subscript, *_HOLDERS))


def _place(found: Found, node: ast.AST) -> str:
  inner: ast.AST = node
  while not isinstance(inner, (ast.stmt, ast.Call)) and inner in found.parents:
    inner = found.parents[inner]
  if isinstance(inner, ast.stmt):
    return f'{found.owner.node.name}.{found.name} gives it away: {_first_line(inner)}'
  return f'{found.owner.node.name}.{found.name} gives it to {found.owner.line(inner.func)}'  # type: ignore[attr-defined]


def _first_line(node: ast.AST) -> str:
  return ast.unparse(node).split('\n')[0][:80]
