"""What stands for the names of a function where its body is written out."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping

from migrator.codemod.names_in import bound_by, function_locals
from migrator.codemod.text import Edits, SourceText

from .binding import Arguments, NotExpandable, is_plain
from .folding import Substituted, decided, text_with

_REPEATS = (ast.For, ast.While, ast.Lambda, ast.FunctionDef, ast.ListComp, ast.SetComp, ast.DictComp,
            ast.GeneratorExp)
_CAPTURES = (ast.Lambda, ast.FunctionDef)
_BARE = (ast.Call, ast.keyword, ast.Assign, ast.Return, ast.Tuple, ast.List)
_PURE_BUILTINS = frozenset({'len', 'int', 'float', 'tuple', 'list', 'dict', 'str', 'range', 'min', 'max', 'sum', 'abs'})


class Occurrence:
  """One place where a name of the function is read or bound."""

  def __init__(self, node: ast.Name, parent: ast.AST, repeated: bool, captured: bool, text: ast.JoinedStr | None):
    self.node = node
    self.parent = parent
    self.repeated = repeated
    self.captured = captured
    self.text = text


def occurrences(body: list[ast.stmt] | ast.expr) -> Iterator[Occurrence]:
  """Yields the names in a function body that belong to its own scope or an outer one."""
  roots = body if isinstance(body, list) else [body]
  for root in roots:
    yield from _within(root, ast.Module([], []), frozenset(), False, False, None)


def _within(
  node: ast.AST, parent: ast.AST, hidden: frozenset[str], repeated: bool, captured: bool,
  text: ast.JoinedStr | None,
) -> Iterator[Occurrence]:
  if isinstance(node, ast.Name):
    if node.id not in hidden:
      yield Occurrence(node, parent, repeated, captured, text)
    return
  if isinstance(node, ast.JoinedStr) and text is None:
    text = node
  inner = hidden | bound_by(node)
  for child in ast.iter_child_nodes(node):
    outside = isinstance(node, _CAPTURES) and isinstance(child, ast.arguments)
    yield from _within(
      child, node, hidden if outside else inner, repeated or isinstance(node, _REPEATS),
      captured or (isinstance(node, _CAPTURES) and not outside), text,
    )


class Substitution:
  """Names of one function at one call.

  function, source: the callee and the text it stands in; closes: it stands in the method that calls it.
  taken: names the caller uses; free: names an earlier expansion left behind, which may be used again.
  spelled: text of a module-level name of the callee's file in the caller's file.
  target: the variable that the call's statement assigns, if it is one plain name.
  """

  def __init__(
    self, function: ast.FunctionDef | ast.Lambda, source: SourceText, arguments: Arguments, caller: SourceText,
    taken: set[str], free: set[str], spelled: Callable[[str], str], closes: bool, target: str | None,
    pure: Callable[[ast.Call], bool],
  ) -> None:
    self.function = function
    self.source = source
    self.arguments = arguments
    self.caller = caller
    self.taken = taken
    self.free = free
    self.spelled = spelled
    self.closes = closes
    self.target = target
    self.pure = pure
    self.edits = Edits(source)
    self.prelude: list[str] = []
    self.introduced: set[str] = set()
    self.trees: dict[str, ast.expr] = {}
    self.known: dict[str, ast.expr] = {}
    body = function.body
    self.found = list(occurrences(body))
    self.stored = {item.node.id for item in self.found if not isinstance(item.node.ctx, ast.Load)}
    own = function_locals(function) if isinstance(function, ast.FunctionDef) else set()
    self.locals = own - set(arguments.values) - {arguments.star, arguments.stars}
    self._check(body if isinstance(body, list) else [ast.Expr(body)])
    self._parameters()
    self._own_variables()
    self._globals()
    self._unpacked()
    self._write()

  def _check(self, body: list[ast.stmt]) -> None:
    for statement in body:
      for node in ast.walk(statement):
        if isinstance(node, (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await, ast.ClassDef)):
          raise NotExpandable(f'{type(node).__name__.lower()} in the function')
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and node.end_lineno != node.lineno:
          raise NotExpandable('a text of several lines in the function')

  # -- parameters ---------------------------------------------------------------------------------

  def _parameters(self) -> None:
    for name, value in self.arguments.values.items():
      uses = [item for item in self.found if item.node.id == name]
      default = name in self.arguments.defaults
      if not default and name in self.stored and self._in_place(name, value):
        assert self.target is not None
        self.trees[name] = ast.Name(self.target, ast.Load())
        continue
      if name not in self.stored:
        self.known[name] = value
        if self._may_stand(value, uses, default):
          self.trees[name] = self._spelled_default(value) if default else value
          continue
      captured = any(item.captured for item in uses)
      fresh = self._fresh(name, captured)
      self.trees[name] = ast.Name(fresh, ast.Load())
      text = self._default_text(value) if default else _one_line(self.caller, value)
      self.prelude.append(f'{fresh} = {text}')

  def _in_place(self, name: str, value: ast.expr) -> bool:
    """`x = f(x)`: the parameter may be the variable itself, which is assigned again right after."""
    others = [other for key, other in self.arguments.values.items() if key != name]
    others += [*self.arguments.positional, *(item.value for item in self.arguments.named)]
    return (
      isinstance(value, ast.Name)
      and value.id == self.target
      and not any(
        isinstance(node, ast.Name) and node.id == self.target for other in others for node in ast.walk(other)
      )
      and not any(item.captured for item in self.found if item.node.id == name)
    )

  def _may_stand(self, value: ast.expr, uses: list[Occurrence], default: bool) -> bool:
    """Tells whether an argument may be written where the parameter is read."""
    if is_plain(value):
      return default or not self._changed(value)
    pure = all(self.pure(node) for node in ast.walk(value) if isinstance(node, ast.Call))
    if isinstance(value, ast.Lambda) or not pure or any(isinstance(node, ast.NamedExpr) for node in ast.walk(value)):
      return False
    return len(uses) == 0 or (len(uses) == 1 and not uses[0].repeated and (default or not self._changed(value)))

  def _changed(self, value: ast.expr) -> bool:
    """Tells whether the body may change what an argument reads."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    if self.target in names and any(
      name in self.stored and isinstance(other, ast.Name) and other.id == self.target
      for name, other in self.arguments.values.items()
    ):
      return True
    attributes = {node.attr for node in ast.walk(value) if isinstance(node, ast.Attribute)}
    body = self.function.body if isinstance(self.function.body, list) else [self.function.body]
    return any(
      isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and node.attr in attributes
      for statement in body for node in ast.walk(statement)
    )

  def _spelled_default(self, value: ast.expr) -> ast.expr:
    return ast.parse(self._default_text(value), mode='eval').body

  def _default_text(self, value: ast.expr) -> str:
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    changed = {name: ast.parse(self.spelled(name), mode='eval').body for name in names if not self.closes}
    return ast.unparse(Substituted(changed).visit(copy.deepcopy(value)))

  # -- other names ----------------------------------------------------------------------------------

  def _fresh(self, name: str, captured: bool) -> str:
    if name not in self.taken or (name in self.free and not captured):
      chosen = name
    else:
      number = 2
      while f'{name}{number}' in self.taken and (f'{name}{number}' not in self.free or captured):
        number += 1
      chosen = f'{name}{number}'
    self.taken.add(chosen)
    if not captured:
      self.introduced.add(chosen)
    return chosen

  def _own_variables(self) -> None:
    for name in sorted(self.locals):
      captured = any(item.captured for item in self.found if item.node.id == name)
      fresh = self._fresh(name, captured)
      if fresh != name:
        self.trees[name] = ast.Name(fresh, ast.Load())

  def _globals(self) -> None:
    if self.closes:
      return
    own = self.locals | set(self.arguments.values) | {self.arguments.star, self.arguments.stars}
    for item in self.found:
      name = item.node.id
      if name in own or name in self.trees:
        continue
      text = self.spelled(name)
      if text != name:
        self.trees[name] = ast.parse(text, mode='eval').body

  def _unpacked(self) -> None:
    """`f(*args, **kwargs)` in the body gets what the call gave."""
    star, stars = self.arguments.star, self.arguments.stars
    given = [*self.arguments.positional, *(item.value for item in self.arguments.named)]
    for name in filter(None, (star, stars)):
      uses = [item for item in self.found if item.node.id == name]
      unpacked = all(isinstance(item.parent, (ast.Starred, ast.keyword)) for item in uses)
      if not unpacked or (len(uses) > 1 and not all(is_plain(value) for value in given)):
        raise NotExpandable(f'{name} is used otherwise than to be passed on')
    body = self.function.body if isinstance(self.function.body, list) else [self.function.body]
    for statement in body:
      for call in [node for node in ast.walk(statement) if isinstance(node, ast.Call)]:
        self._pass_on(call)

  def _pass_on(self, call: ast.Call) -> None:
    star, stars = self.arguments.star, self.arguments.stars
    places = [item for item in call.args if _is_unpacked(item, star)]
    places += [item for item in call.keywords if item.arg is None and _is_name(item.value, stars)]  # type: ignore[misc]
    if not places:
      return
    texts: list[str] = []
    for item in [*call.args, *call.keywords]:
      if item in places and isinstance(item, ast.Starred):
        texts += [_one_line(self.caller, value) for value in self.arguments.positional]
      elif item in places:
        texts += [f'{given.arg}={_one_line(self.caller, given.value)}' for given in self.arguments.named]
      else:
        texts.append(self._rewritten(item))
    start, end = self.source.end(call.func), self.source.end(call)
    self.edits.replace_range(start, end, f'({", ".join(texts)})')

  def _rewritten(self, node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.keyword) else node
    text = ast.unparse(Substituted(self.trees).visit(copy.deepcopy(value)))
    return f'{node.arg}={text}' if isinstance(node, ast.keyword) else text

  # -- text -------------------------------------------------------------------------------------------

  def _write(self) -> None:
    done: set[int] = set()
    for item in self.found:
      if item.text is not None:
        if id(item.text) not in done and item.node.id in self.trees:
          done.add(id(item.text))
          self.edits.replace(item.text, text_with(item.text, self.trees))
        continue
      tree = self.trees.get(item.node.id)
      if tree is None:
        continue
      text = ast.unparse(tree)
      bare = isinstance(item.parent, _BARE) and not (isinstance(item.parent, ast.Call) and item.parent.func is item.node)
      plain = is_plain(tree) or isinstance(tree, (ast.Call, ast.Subscript, ast.Tuple, ast.List, ast.Dict))
      self.edits.replace(item.node, text if plain or bare else f'({text})')
    self._definitions()
    self._choices()

  def _definitions(self) -> None:
    body = self.function.body if isinstance(self.function.body, list) else []
    for statement in body:
      for node in ast.walk(statement):
        tree = self.trees.get(getattr(node, 'name', ''))
        if isinstance(node, ast.FunctionDef) and isinstance(tree, ast.Name):
          start = self.source.data.index(b'def', self.source.own_start(node)) + 4
          self.edits.replace_range(start, start + len(node.name.encode()), tree.id)

  def _choices(self) -> None:
    """`a if flag else b` with a flag that this call decides."""
    body = self.function.body if isinstance(self.function.body, list) else [ast.Expr(self.function.body)]
    for statement in body:
      for node in reversed(list(ast.walk(statement))):
        if isinstance(node, ast.IfExp):
          holds = decided(node.test, self.known)
          if holds is not None:
            self.edits.replace(node, self.edits.node(node.body if holds else node.orelse))

  def truth(self, test: ast.expr) -> bool | None:
    """Returns whether this call decides a condition."""
    return decided(test, self.known)


def _is_name(node: ast.AST, name: str | None) -> bool:
  return isinstance(node, ast.Name) and node.id == name


def _is_unpacked(node: ast.AST, name: str | None) -> bool:
  return isinstance(node, ast.Starred) and _is_name(node.value, name)


def _one_line(source: SourceText, node: ast.expr) -> str:
  text = source.node(node)
  return text if '\n' not in text else ast.unparse(node)


def is_pure_builtin(name: str) -> bool:
  """Tells whether a builtin function only computes."""
  return name in _PURE_BUILTINS


__all__ = ['Mapping', 'Substitution', 'is_pure_builtin', 'occurrences']
