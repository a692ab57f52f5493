"""Writes a class that stays Linen as a member of an NNX class: `nnx.bridge.ToNNX(...)` with its first inputs."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from migrator.shapes.values import Array, Instance, Late, Unknown, contains
from rewrites.registry import layer_for

from ..layer_call import Refused
from ..plan import ClassPlan, Member
from ..text import wrapped_call
from .call_sites import holds_module

# What a flag of the call is at initialisation: the weights are made without training.
_OFF = ('train', 'training', 'is_training', 'mutable', 'decode')
_ON = ('deterministic', 'eval', 'inference', 'use_running_average', 'test')


def check(member: Member, stays: ClassPlan) -> None:
  """Raises Refused if the class that stays Linen cannot be a member."""
  creation = member.creation
  name, line = stays.source.node.name, creation.line
  if stays.source.in_function:
    raise Refused(f'{name} stays Linen inside a function (line {line})')
  for given in creation.arguments.values():
    if holds_module(given) or contains(given, (Instance, Late)):
      raise Refused(f'{name} stays Linen and is made with a module or with a flag of the call (line {line})')
  methods = {use.method for use in creation.uses}
  if not methods:
    raise Refused(f'{name} stays Linen and is never called where its input can be seen (line {line})')
  if len(methods) > 1:
    raise Refused(f'{name} stays Linen and is called by several methods (line {line})')


def write(
  member: Member,
  stays: ClassPlan,
  plans: Mapping[str, ClassPlan],
  project: Any,
  text: Callable[[ast.expr], str],
  shape_text: Callable[[tuple[Any, ...]], str],
  spell: Callable[[str], str],
  room: int,
) -> str:
  """Returns the constructor expression; the call of the member gets the collections that it may change.

  Args:
    text: writes an expression in the constructor; shape_text: writes a shape; spell: spells a qualified name.
    room: characters that a line has.

  Raises:
    Refused, NotStatic: an input at initialisation cannot be written.
  """
  creation = member.creation
  if member.inside is not None:
    raise Refused(
      f'{stays.source.node.name} stays Linen and is handed to another module (line {creation.line})'
    )
  arguments = [
    f'*{text(item.value)}' if isinstance(item, ast.Starred) else text(item) for item in creation.node.args
  ]
  arguments += [
    f'**{text(item.value)}' if item.arg is None else f'{item.arg}={text(item.value)}'
    for item in creation.node.keywords
    if item.arg not in ('name', 'parent')
  ]
  # Without a parent: the NNX class may itself be made inside a Linen module.
  arguments.append('parent=None')
  use = next(
    (use for use in creation.uses if not contains((*use.args, *use.kwargs.values()), Unknown)),
    creation.uses[0],
  )
  writer = _Inputs(stays, use, text, shape_text, spell)
  inputs = writer.arguments()
  if use.method != '__call__':
    inputs.append(f'method={use.method!r}')
    member.on_call.clear()
  changing = collections_of(stays, plans, project)
  if changing:
    member.on_call['mutable'] = ast.parse(repr(changing), mode='eval').body
    if use.method != '__call__':
      raise Refused(
        f'{stays.source.node.name} stays Linen, keeps a state, and is called by {use.method} (line {creation.line})'
      )
  head = text(creation.node.func)
  line = f'nnx.bridge.ToNNX({head}({", ".join(arguments)}), rngs=rngs).lazy_init({", ".join(inputs)})'
  if '\n' in line or len(f'self.{member.attribute} = {line}') <= room:
    return line
  made = textwrap.indent(wrapped_call(head, arguments, '', room - 4), '    ')
  return f'nnx.bridge.ToNNX(\n{made},\n    rngs=rngs,\n){wrapped_call(".lazy_init", inputs, "", room)}'


class _Inputs:
  """Writes the arguments of the first call."""

  def __init__(
    self,
    stays: ClassPlan,
    use: Any,
    text: Callable[[ast.expr], str],
    shape_text: Callable[[tuple[Any, ...]], str],
    spell: Callable[[str], str],
  ) -> None:
    self.stays = stays
    self.use = use
    self.text = text
    self.shape_text = shape_text
    self.spell = spell

  def arguments(self) -> list[str]:
    node = self.use.node
    if any(isinstance(item, ast.Starred) for item in node.args) or any(
      item.arg is None for item in node.keywords
    ):
      raise Refused(
        f'{self.stays.source.node.name} stays Linen and is called with * or ** (line {node.lineno})'
      )
    arguments = self._signature()
    names = [] if arguments is None else [item.arg for item in (*arguments.posonlyargs, *arguments.args)][1:]
    written = [
      self._value(value, item, names[i] if i < len(names) else '')
      for i, (value, item) in enumerate(zip(self.use.args, node.args))
    ]
    for keyword in node.keywords:
      written.append(
        f'{keyword.arg}={self._value(self.use.kwargs.get(keyword.arg), keyword.value, keyword.arg or "")}'
      )
    return written

  def _signature(self) -> ast.arguments | None:
    """Arguments of the method; None if a Linen layer defines it."""
    method = self.stays.source.methods.get(self.use.method)
    return None if method is None else method.node.args

  def _value(self, value: Any, node: ast.expr, name: str) -> str:
    if isinstance(value, Array):
      return self._zeros(value, node)
    if isinstance(value, (tuple, list)) and contains(value, Array):
      nodes = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node] * len(value)
      items = [self._value(item, part, name) for item, part in zip(value, nodes)]
      return (
        f'({", ".join(items)}{"," if len(items) == 1 else ""})'
        if isinstance(value, tuple)
        else f'[{", ".join(items)}]'
      )
    if isinstance(value, Late):
      return self._flag(name, node)
    if isinstance(value, Unknown) or contains(value, (Array, Instance, Late, Unknown)):
      raise Refused(
        f'{self.stays.source.node.name} stays Linen, and its input {ast.unparse(node)} is not known (line {node.lineno})'
      )
    return 'None' if value is None else self.text(node)

  def _zeros(self, array: Array, node: ast.expr) -> str:
    if array.dtype == 'key':
      raise Refused(
        f'{self.stays.source.node.name} stays Linen and is called with a random key (line {node.lineno})'
      )
    shape = self.shape_text(array.shape) if array.shape else '()'
    dtype = (
      ''
      if array.dtype == 'float32'
      else ', bool'
      if array.dtype == 'bool'
      else f', {self.spell(f"jax.numpy.{array.dtype}")}'
    )
    return f'{self.spell("jax.numpy.zeros")}({shape}{dtype})'

  def _flag(self, name: str, node: ast.expr) -> str:
    if name in _OFF or name in _ON:
      return str(name in _ON)
    arguments = self._signature() or ast.arguments([], [], None, [], [], None, [])
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([item.arg for item in reversed(positional)], reversed(arguments.defaults)))
    defaults.update(
      {
        item.arg: value
        for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults)
        if value is not None
      }
    )
    default = defaults.get(name)
    if isinstance(default, ast.Constant):
      return repr(default.value)
    raise Refused(
      f'{self.stays.source.node.name} stays Linen, and what {name} is at initialisation is not known (line {node.lineno})'
    )


def collections_of(stays: ClassPlan, plans: Mapping[str, ClassPlan], project: Any) -> list[str]:
  """Returns the collections besides the weights that a Linen class and the classes it mentions may change.

  Raises:
    Refused: the name of a collection is computed.
  """
  found: set[str] = set()
  seen: set[str] = set()
  pending = [stays.source]
  while pending:
    source = pending.pop()
    if source.name in seen:
      continue
    seen.add(source.name)
    pending += source.mro[1:]
    for base in source.foreign_bases:
      record = layer_for(base)
      found |= set(record.collections) if record is not None else set()
    for node in source.module.nodes.walk(source.node):
      if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ('variable', 'put_variable')
      ):
        found.add(_collection_name(node, source))
      if not isinstance(node, (ast.Name, ast.Attribute)):
        continue
      name = project.resolve_node(source.module, node) or ''
      record = layer_for(name)
      found |= set(record.collections) if record is not None else set()
      if name in plans:
        pending.append(plans[name].source)
  return sorted(found - {'params', 'intermediates', 'perturbations', ''})


def _collection_name(node: ast.Call, source: Any) -> str:
  argument = (
    node.args[0] if node.args else next((item.value for item in node.keywords if item.arg == 'col'), None)
  )
  if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
    return argument.value
  own = (
    isinstance(node.func, ast.Attribute)
    and isinstance(node.func.value, ast.Name)
    and node.func.value.id == 'self'
  )
  if not own:
    return ''
  raise Refused(
    f'{source.node.name} stays Linen and keeps a state in a collection with a computed name (line {node.lineno})'
  )
