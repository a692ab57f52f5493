"""Writes expressions of a method so that they are valid in the constructor."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from migrator.shapes import oracle
from migrator.shapes.values import Array, Bound, Closure, Late, Unknown, Value, VariableRef, contains

from .fixed import FixedNames, asks_none
from .input_dtypes import is_input_dtype
from .names_in import bound_by, function_locals
from .shape_conditions import different_shapes
from .shape_text import shape_text
from .sizes import NotStatic, SizeWriter, enclosed
from .text import Edits, SourceText


class StaticWriter:
  """Writes expressions of one method for the constructor.

  source: text of the module; values: what the interpreter saw, by node; fields: constructor parameters.
  rename: replacement text for a node that names a Linen thing, or None.
  constants: local variables that hold the same in the constructor, whatever they are.
  """

  def __init__(
    self,
    source: SourceText,
    values: dict[int, list[Value]],
    method: ast.FunctionDef,
    fields: set[str],
    rename: Callable[[ast.expr], str | None],
    created: Callable[[ast.AST], str | None],
    constants: set[str] = frozenset(),  # type: ignore[assignment]
  ) -> None:
    self.source = source
    self.values = values
    self.method = method
    self.fields = fields
    self.rename = rename
    self.created = created
    self.constants = constants
    self.self_name = method.args.args[0].arg if method.args.args else 'self'
    self.locals = function_locals(method)
    self.needed: dict[str, int] = {}
    self.hidden: set[str] = set()
    self.indent = ''
    self.rebound: set[str] = set()  # constructor variables that hide a field of their name by now
    self.sizes: SizeWriter | None = None
    self.stored: set[str] = set()  # attributes that the constructor sets before
    self.of_input: Callable[[ast.Attribute], str] | None = None  # writes `x.dtype` of an input
    self.fixed = FixedNames(method, self.locals, self._of_the_call, self._is_size)

  def _of_the_call(self, node: ast.AST) -> bool:
    """Tells whether an expression makes or reads something of the module, or is only known at the call."""
    value = self.value(node)
    if isinstance(value, (VariableRef, Late)) or self.created(node) is not None:
      return True
    own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.self_name
    if own and node.attr in self.stored:  # type: ignore[attr-defined]
      return False
    return own and (isinstance(value, Array) or _is_method(value))

  def _is_size(self, node: ast.AST) -> bool:
    value = self.value(node)
    items = value if isinstance(value, (tuple, list)) and value else [value]
    return isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and all(
      oracle.is_dim(item) and not isinstance(item, bool) for item in items
    )

  def holds_sizes(self, node: ast.expr) -> bool:
    """Tells whether an expression gives sizes and nothing else."""
    value = self.value(node)
    return isinstance(value, (tuple, list)) and all(oracle.is_dim(item) for item in value)

  def text(self, node: ast.expr) -> str:
    """Returns the constructor's spelling of an expression.

    Raises:
      NotStatic: the expression depends on what is only known at the call.
    """
    edits = Edits(self.source)
    outer, self.indent = self.indent, self.source.indent(node)
    try:
      self._walk(node, edits, set(self.hidden))
    finally:
      self.indent = outer
    text = relative(edits.node(node), self.source.indent(node))
    # A size stands alone here: it needs no parentheses around it.
    return (
      _bare(text) if oracle.is_dim(self.value(node)) and not self.source.node(node).startswith('(') else text
    )

  def expression(self, text: str) -> str:
    """As `text`, for an expression given as source text whose values were not recorded."""
    node = ast.parse(text, mode='eval').body
    written = ast.unparse(node)
    for child in ast.walk(self.method):
      if isinstance(child, ast.expr) and type(child) is type(node) and ast.unparse(child) == written:
        return self.text(child)
    source, self.source = self.source, SourceText(text)
    try:
      return self.text(node)
    finally:
      self.source = source

  def value(self, node: ast.AST) -> Value:
    """Returns the value the interpreter saw last at a node."""
    seen = self.values.get(id(node))
    return seen[-1] if seen else None

  def _walk(self, node: ast.AST, edits: Edits, hidden: set[str]) -> None:
    if isinstance(node, ast.expr):
      if self._replaced(node, edits, hidden):
        return
    inner = hidden | bound_by(node)
    for child in ast.iter_child_nodes(node):
      self._walk(child, edits, inner)

  def _replaced(self, node: ast.expr, edits: Edits, hidden: set[str]) -> bool:
    """Handles nodes that are written otherwise, or that end the walk; returns True if done."""
    if self.sizes is not None and id(node) in self.sizes.renamed:
      edits.replace(node, self.sizes.renamed[id(node)])
      return True
    made = self.created(node)
    if made is not None:
      # `text` takes the indentation of the line away from later lines again.
      edits.replace(node, made.replace('\n', '\n' + self.indent))
      return True
    if isinstance(node, ast.IfExp):
      # Two creations may differ by nothing but the names that Linen gives them.
      made, other = self.created(node.body), self.created(node.orelse)
      if made is not None and made == other:
        edits.replace(node, made.replace('\n', '\n' + self.indent))
        return True
    renamed = self.rename(node)
    if renamed is not None:
      edits.replace(node, renamed)
      return True
    given = self._given(node) or self._begun(node)
    if given is not None:
      edits.replace(node, given)
      return True
    if (
      isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.self_name
    ):
      return self._own_attribute(node, edits)
    if isinstance(node, ast.Name) and node.id in self.locals and node.id not in hidden:
      return self._local(node, edits)
    if self._asks_attribute(node):
      return True
    if isinstance(node, ast.Attribute) and is_input_dtype(node, self.value) and self.of_input is not None:
      edits.replace(node, self.of_input(node))
      return True
    if isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)) and self._mentions_arrays(node, hidden):
      return self._measured(node, edits)
    if isinstance(node, ast.Compare) and self._mentions_arrays(node, hidden):
      return self._shape_comparison(node, edits)
    return False

  def _given(self, node: ast.expr) -> str | None:
    """`condition is not None`, where the constructor is told the size of `condition` or None."""
    asked = asks_none(node)
    if asked is None:
      return None
    name, is_given = asked
    arguments = {argument.arg for argument in _arguments(self.method)}
    if name not in arguments or self.sizes is None or self.fixed.stored_before(name, node):
      return None
    return self.sizes.given(self.method.name, name, is_given)

  def _begun(self, node: ast.expr) -> str | None:
    """`x is not None`, where `x = None` and then, under one condition, an array: the condition itself."""
    asked = asks_none(node)
    test = None if asked is None else self.fixed.only_condition(asked[0], node)
    if test is None or asked is None or not isinstance(self.value(test[1]), Array):
      return None
    return self.text(test[0]) if asked[1] else f'not ({self.text(test[0])})'

  def _asks_attribute(self, node: ast.expr) -> bool:
    """`hasattr(self, 'project')` says the same in the constructor, once `setup` has run."""
    return (
      isinstance(node, ast.Call)
      and isinstance(node.func, ast.Name)
      and node.func.id == 'hasattr'
      and len(node.args) == 2
      and isinstance(node.args[0], ast.Name)
      and node.args[0].id == self.self_name
      and isinstance(node.args[1], ast.Constant)
    )

  def _own_attribute(self, node: ast.Attribute, edits: Edits) -> bool:
    value = self.value(node)
    if isinstance(value, Late):
      raise NotStatic(f'self.{node.attr} is only known at the call')
    if isinstance(value, Array) and node.attr not in self.fields | self.stored:
      raise NotStatic(f'self.{node.attr} is an array')
    if node.attr in self.fields and node.attr not in self.rebound:
      edits.replace(node, node.attr)
    return True

  def _local(self, node: ast.Name, edits: Edits) -> bool:
    value = self.value(node)
    if node.id in self.constants and (isinstance(value, Unknown) or contains(value, Array)):
      self.needed.setdefault(node.id, node.lineno)
      return True
    fixed = isinstance(value, (Array, Unknown)) and self.fixed.is_fixed(node.id, node.lineno)
    if isinstance(value, (Array, VariableRef)) and not fixed:
      raise NotStatic(f'{node.id} is an array')
    if isinstance(value, Late) or contains(value, Late) and not self._may_hold_late(value):
      raise NotStatic(f'{node.id} is only known at the call')
    if isinstance(value, Unknown) and not fixed:
      raise NotStatic(f'{node.id} could not be followed: {value.reason}')
    if oracle.is_dim(value) and self._measured_local(node.id):
      edits.replace(node, self._size(value))
      return True
    if node.id in {argument.arg for argument in _arguments(self.method)}:
      raise NotStatic(f'{node.id} is an argument of the call')
    self.needed[node.id] = max(self.needed.get(node.id, 0), node.lineno)
    return True

  def _may_hold_late(self, value: Value) -> bool:
    from migrator.shapes.values import Partial

    return isinstance(value, Partial)

  def _measured_local(self, name: str) -> bool:
    """Tells whether a local variable only ever holds a size read off an array by unpacking its shape."""
    found = False
    for node in ast.walk(self.method):
      if isinstance(node, ast.Assign):
        for target in node.targets:
          if isinstance(target, (ast.Tuple, ast.List)) and any(
            isinstance(item, ast.Name) and item.id == name for item in target.elts
          ):
            found = self._mentions_arrays(node.value, set())
          elif isinstance(target, ast.Name) and target.id == name:
            return False
      elif isinstance(node, (ast.For, ast.AugAssign, ast.NamedExpr)) and name in {
        n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)
      }:
        return False
    return found

  def _mentions_arrays(self, node: ast.AST, hidden: set[str]) -> bool:
    for child in ast.walk(node):
      if (
        isinstance(child, ast.Name)
        and child.id in self.locals
        and child.id not in hidden
        and child.id not in self.constants
        and contains(self.value(child), Array)
      ):
        return True
      if isinstance(child, ast.Attribute) and isinstance(self.value(child), Array):
        return True
    return False

  def _measured(self, node: ast.expr, edits: Edits) -> bool:
    value = self.value(node)
    counted = _counts_axes(node)
    if counted is not None and self.sizes is not None:
      owner = self.value(counted)
      if isinstance(owner, Array) and len(owner.shape) > 1:
        edits.replace(node, f'len({shape_text(owner.shape, self.sizes, self._size)})')
        return True
    if isinstance(node, ast.Call) and any(getattr(item, 'attr', '') == 'ndim' for item in ast.walk(node)):
      return False  # axes may be counted from behind: the program's own call tells, given the rank
    if oracle.is_dim(value) and self._names_itself(node, value):
      return False
    if oracle.is_dim(value):
      edits.replace(node, self._size(value))
      return True
    if isinstance(value, tuple) and isinstance(node, ast.Attribute) and node.attr == 'shape' and self.sizes is not None:
      edits.replace(node, shape_text(value, self.sizes, self._size))
      return True
    if isinstance(value, (tuple, list)) and value and all(oracle.is_dim(item) for item in value):
      items = ', '.join(self._size(item) for item in value)
      opening, closing = ('(', ')') if isinstance(value, tuple) else ('[', ']')
      comma = ',' if len(value) == 1 and isinstance(value, tuple) else ''
      edits.replace(node, f'{opening}{items}{comma}{closing}')
      return True
    return False  # an array in it that is more than its shape is found further down

  def _names_itself(self, node: ast.expr, dim: Any) -> bool:
    """Tells whether a size is a symbol for this very expression: then the expression is written, part by part."""
    assert self.sizes is not None
    info = self.sizes.table.info(str(dim)) if oracle.is_symbolic(dim) else None
    return (
      info is not None
      and info.kind == 'local'
      and not info.source.isidentifier()
      and info.source == ast.unparse(node)
    )

  def _size(self, dim: Any) -> str:
    assert self.sizes is not None
    text = self.sizes.text(dim)
    return f'({text})' if ' ' in text and not enclosed(text) else text

  def _shape_comparison(self, node: ast.Compare, edits: Edits) -> bool:
    left, right = self.value(node.left), self.value(node.comparators[0])
    if (
      len(node.ops) != 1
      or not isinstance(node.ops[0], (ast.Eq, ast.NotEq))
      or not isinstance(left, tuple)
      or not isinstance(right, tuple)
    ):
      return False
    assert self.sizes is not None
    text = different_shapes(left, right, self.sizes)
    edits.replace(node, text if isinstance(node.ops[0], ast.NotEq) else f'not ({text})')
    return True


def _counts_axes(node: ast.expr) -> ast.expr | None:
  """Returns x of `x.ndim` and `len(x.shape)`: the constructor counts them as well, as their number is only guessed."""
  if isinstance(node, ast.Attribute) and node.attr == 'ndim':
    return node.value
  if isinstance(node, ast.Call) and ast.unparse(node.func) == 'len' and len(node.args) == 1:
    shape = node.args[0]
    return shape.value if isinstance(shape, ast.Attribute) and shape.attr == 'shape' else None
  return None


def _is_method(value: Value) -> bool:
  return isinstance(value, (Closure, Bound))


def _bare(text: str) -> str:
  """Returns a text without the parentheses around all of it."""
  return text[1:-1] if enclosed(text) else text


def relative(text: str, indent: str) -> str:
  """Returns a text whose later lines are indented relative to the line the text starts in."""
  if '\n' not in text or not indent:
    return text
  rows = text.split('\n')
  return '\n'.join([rows[0], *(row[len(indent) :] if row.startswith(indent) else row for row in rows[1:])])


def _arguments(method: ast.FunctionDef) -> list[ast.arg]:
  arguments = method.args
  rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
  return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]
