"""Creations as constructor expressions: layers, classes of the repository, parameters, variables, partials."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from migrator.manifest import SizeArgument
from migrator.shapes import oracle
from migrator.shapes.values import Array, Instance, Late, Partial, Unknown, contains

from . import layer_call
from .asked import AskedSizes, unseen
from .bridge import linen_member
from .call_writer import CallWriter
from .input_dtypes import without_input_dtype
from .layer_call import Refused
from .lifted import lifted_member
from .linen_names import LinenNames
from .module_api import refuse_layer_methods
from .optional_shapes import condition_text, optional_shape
from .plan import ClassPlan, Member, variable_class
from .shape_text import shape_text
from .sizes import NotStatic, SizeWriter, alone
from .sizes_of_uses import certain_first, several_sizes
from .static import StaticWriter
from .text import LINE_WIDTH, Edits, SourceText, wrapped_call


class MemberWriter:
  """The part of a `ClassWriter` that writes members."""

  plan: ClassPlan
  plans: Mapping[str, ClassPlan]
  source: SourceText
  names: LinenNames
  edits: Edits
  unit: str
  exact: bool
  asked_sizes: AskedSizes
  call: CallWriter
  base_indent: str

  def _tools(self, method: ast.FunctionDef) -> tuple[StaticWriter, SizeWriter]:
    """Returns the writers of one method; the class writer keeps them."""
    raise NotImplementedError

  def _created(self, node: ast.AST, method: ast.FunctionDef) -> str | None:
    """Returns the constructor's spelling of a creation, of a partial of a layer, or of a member held in a variable."""
    member = self.call.by_node.get(id(node))
    if member is not None:
      return self._expression(member, member.creation.names, tuple(item for item, _ in member.creation.path))
    value = self.call.value(node)
    if isinstance(node, ast.Call) and isinstance(value, Partial) and value.node is node:
      return self._partial(node, value, method)
    if isinstance(node, ast.Name) and isinstance(value, Instance) and value.creation is not None:
      owner = next((item for item in self.plan.members if item.creation is value.creation), None)
      if owner is not None and owner.inside is None and not owner.listed and owner.container is None:
        return f'self.{owner.attribute}'
    return None

  def _expression(self, member: Member, names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    writer, sizes = self._tools(member.creation.inside)
    if member.creation.kind == 'param':
      return self._param(member, writer)
    if member.creation.kind == 'variable':
      return self._variable(member, writer)
    within = tuple(node for node, _ in member.creation.path)
    size_text = lambda dim: sizes.parameter(dim, names, (*loops, *within))
    if member.record is not None:
      return self._layer(member, writer, size_text)
    if member.stays is not None:
      return linen_member.write(
        member,
        member.stays,
        self.plans,
        self.names.project,
        writer.text,
        lambda shape: shape_text(shape, sizes, size_text),
        self.names.spell,
        self._room(member),
      )
    text = self._class(member, writer, size_text)
    for other in member.alternatives:
      if self._class(other, writer, size_text) != text or not _same_call(member, other):
        raise Refused(
          f'{ast.unparse(member.creation.node.func)} makes classes that need different arguments '
          f'(line {member.creation.line})'
        )
    return text

  def _head(self, member: Member, writer: StaticWriter) -> str:
    lift = member.creation.lift
    function = member.creation.node.func if lift is None else lift.node.args[0]
    return writer.text(function)

  def _layer(self, member: Member, writer: StaticWriter, size_text: Any) -> str:
    record, creation = member.record, member.creation
    assert record is not None
    refuse_layer_methods(member)
    partials = [partial.node for partial in creation.partials if partial.node is not None]
    given = layer_call.bound_arguments(record, creation.node, partials)
    given, note = without_input_dtype(given, record, self.call.value)
    if note is not None and note not in self.plan.assumptions:
      self.plan.assumptions.append(note)
    uses = [use for use in creation.uses if use.method == '__call__']
    certain = certain_first(_known(uses), self.plan.analysis)
    if record.sizes and (note := several_sizes(member.attribute, certain, self.plan.analysis)):
      self.plan.assumptions.append(note)
    found = layer_call.facts(record, given, self.call.value, certain, creation.arguments)
    flags = lambda name: (
      bool(uses) and all(name in use.kwargs or _positional(record, name, use) for use in uses)
    )
    sizes = self._tools(creation.inside)[1]
    hidden = unseen(record, found[0], creation) if self.asked_sizes.possible(member) else None
    if record.sizes and not uses and not _called_otherwise(creation) and _needs_input(record):
      self._never_called(record, member, hidden)
    written = layer_call.write(
      record,
      given,
      found,
      writer.text,
      self._value_of(creation),
      lambda role, dim: self.asked_sizes.text(member, role, dim, size_text, sizes),
      self.exact,
      set(),
      flags,
      hidden,
    )
    member.on_call = written.on_call
    for helper in written.helpers:
      self.names.helpers[helper.name] = helper
    return self._wrapped(self._head(member, writer), written.arguments, member)

  def _never_called(self, record: Any, member: Member, hidden: Any) -> None:
    name, line = record.linen[0].rsplit('.', 1)[-1], member.creation.line
    if hidden is None:
      raise Refused(f'{name} is never called where its input could be seen (line {line})')
    text = f'{member.attribute} is always made, in Linen only where something calls it (line {line})'
    if text not in self.plan.assumptions:
      self.plan.assumptions.append(text)

  def _value_of(self, creation: Any) -> Any:
    """Values of argument expressions; those of a partial made by another class come from the bound arguments."""
    foreign = {}
    for partial in creation.partials:
      if partial.node is None:
        continue
      for keyword in partial.node.keywords:
        if keyword.arg is not None and keyword.arg in partial.kwargs:
          foreign[id(keyword.value)] = partial.kwargs[keyword.arg]
      for item, value in zip(partial.node.args[1:], partial.args):
        foreign[id(item)] = value
    return lambda node: foreign[id(node)] if id(node) in foreign else self.call.value(node)

  def _wrapped(self, head: str, arguments: list[str], member: Member) -> str:
    line = f'{head}({", ".join(arguments)})'
    if '\n' in line or len(f'self.{member.attribute} = {line}') <= self._room(member):
      return line
    return wrapped_call(head, arguments, '', self._room(member))

  def _room(self, member: Member) -> int:
    """Returns how many characters a line of the constructor has where the member is made."""
    level = sum(isinstance(node, (ast.For, ast.If, ast.With)) for node, _ in member.creation.path)
    return LINE_WIDTH - len(self.base_indent + self.unit * (2 + level))

  def _class(self, member: Member, writer: StaticWriter, size_text: Any) -> str:
    creation, child = member.creation, member.child
    assert child is not None
    arguments = []
    fields = [name for name, field in child.source.fields.items() if not field.kw_only]
    values = self._value_of(creation)
    late = lambda name, node: (
      name in child.call_fields or (name in child.merged and isinstance(values(node), Late))
    )
    for partial in creation.partials:
      for keyword in partial.node.keywords if partial.node is not None else ():
        if keyword.arg is not None and late(keyword.arg, keyword.value):
          member.on_call[keyword.arg] = keyword.value
    by_keyword = False
    for position, item in enumerate(creation.node.args):
      name = fields[position] if position < len(fields) else ''
      if late(name, item):
        member.on_call[name] = item
        by_keyword = True
        continue
      text = f'*{writer.text(item.value)}' if isinstance(item, ast.Starred) else writer.text(item)
      arguments.append(f'{name}={text}' if by_keyword else text)
    for keyword in creation.node.keywords:
      if keyword.arg in ('name', 'parent'):
        continue
      if keyword.arg is not None and late(keyword.arg, keyword.value):
        member.on_call[keyword.arg] = keyword.value
        continue
      arguments.append(
        f'**{writer.text(keyword.value)}'
        if keyword.arg is None
        else f'{keyword.arg}={writer.text(keyword.value)}'
      )
    arguments += [f'{size.name}={alone(self._child_size(member, size, size_text))}' for size in child.size_arguments]
    arguments.append('rngs=rngs')
    for name in child.threaded:
      self._thread_from(member, name)
    text = self._wrapped(self._head(member, writer), arguments, member)
    return text if creation.lift is None else lifted_member(creation, child, text, writer.text)

  def condition(self, guard: Any) -> str:
    """Returns the constructor's spelling of a condition of a method under which something is made."""
    test, branch, method = guard
    return condition_text(test, branch == 'body', method, self.plan, *self._tools(method))

  def _thread_from(self, member: Member, name: str) -> None:
    method = member.creation.inside
    arguments = {item.arg for item in (*method.args.args, *method.args.kwonlyargs)}
    if name not in arguments and name not in self.plan.threaded and name not in self.plan.call_fields:
      child = member.creation.target
      raise Refused(f'{child} needs the flag {name}, which is not known here (line {member.creation.line})')

  def _child_size(self, member: Member, size: SizeArgument, size_text: Any) -> str:
    assert member.child is not None
    if size.asked:
      return self._ask_for(member, size)
    method = member.child.source.methods[size.method]
    names = [item.arg for item in (*method.node.args.posonlyargs, *method.node.args.args)][1:]
    sizes = self._tools(member.creation.inside)[1]
    if size.optional and size.axis is None:
      written = optional_shape(member, size, names, self.plan, lambda method: self._tools(method), size_text)
      if written is not None:
        return written
    found = []
    for use in certain_first(member.creation.uses, self.plan.analysis):
      if use.method != size.method:
        continue
      value = {**dict(zip(names, use.args)), **use.kwargs}.get(size.argument)
      if isinstance(value, Array):
        found.append(value.shape)
      elif value is not None and not found:
        return self._ask_for(member, size, value)
    if not found:
      return 'None' if size.optional else self._ask_for(member, size)
    shape = found[0]
    if size.axis is not None:
      sizes = self._tools(member.creation.inside)[1]
      return self.asked_sizes.text(member, size.name, shape[size.axis], size_text, sizes)
    return shape_text(shape, sizes, size_text)

  def _ask_for(self, member: Member, size: SizeArgument, value: Any = None) -> str:
    if size.axis is None or not self.asked_sizes.possible(member):
      what = f'the size {size.name} of' if size.asked else f'the shape of {size.argument} given to'
      because = f': {value.reason}, line {value.line}' if isinstance(value, Unknown) else ''
      raise Refused(f'{what} {member.creation.target} is not known (line {member.creation.line}{because})')
    return self.asked_sizes.name(member, size.name)

  def _partial(self, node: ast.Call, value: Partial, method: ast.FunctionDef) -> str:
    """`partial(nn.Conv, use_bias=False)` with NNX names, without flags of the call."""
    from migrator.shapes.values import ClassRef, External, Late
    from rewrites.registry import layer_for

    writer, _ = self._tools(method)
    record = layer_for(value.function.name) if isinstance(value.function, External) else None
    named, bound = list(node.keywords), dict(value.kwargs)
    parts = [
      writer.text(node.func),
      *(writer.text(item) for item in node.args[: 1 if record is not None else None]),
    ]
    if record is not None:
      # NNX has the sizes of the input first: what is given by position here must go by name.
      places = layer_call.bound_arguments(record, ast.Call(node.func, node.args[1:], []), [])
      named = [ast.keyword(name, item.node) for name, item in places.items()] + named
      bound |= dict(zip(places, value.args, strict=False))
    for keyword in named:
      if keyword.arg is None:
        parts.append(f'**{writer.text(keyword.value)}')
        continue
      late = isinstance(bound.get(keyword.arg), Late)
      row = (
        next((item for item in record.arguments if item.linen == keyword.arg), None)
        if record is not None
        else None
      )
      if (
        late
        and (row is None or row.on_call is None)
        and not (isinstance(value.function, ClassRef) and self._is_call_field(value, keyword.arg))
      ):
        raise NotStatic(f'{keyword.arg}={ast.unparse(keyword.value)} is only known at the call')
      if late:
        continue
      if row is not None and row.nnx is None:
        if row.unsupported is not None:
          raise Refused(f'{keyword.arg}: {row.unsupported} (line {node.lineno})')
        continue
      parts.append(f'{row.nnx if row is not None else keyword.arg}={writer.text(keyword.value)}')
    line = f'{parts[0]}({", ".join(parts[1:])})'
    room = LINE_WIDTH - len(self.source.indent(node))
    # The variable that holds it stands in the same line.
    return line if '\n' in line or len(line) + 12 <= room else wrapped_call(parts[0], parts[1:], '', room)

  def _is_call_field(self, value: Partial, name: str) -> bool:
    child = self.plans.get(value.function.source.name)
    return child is not None and (name in child.call_fields or name in child.merged)

  def _param(self, member: Member, writer: StaticWriter) -> str:
    node = member.creation.node
    arguments = [item for item in node.args if not isinstance(item, ast.Starred)]
    if len(arguments) != len(node.args):
      raise Refused(f'self.param with * arguments (line {node.lineno})')
    named = {item.arg: item.value for item in node.keywords}
    if set(named) - {'name', 'init_fn', 'shape', 'dtype'}:
      raise Refused(
        f'self.param with {", ".join(sorted(map(str, set(named) - {"name", "init_fn"})))} (line {node.lineno})'
      )
    rest = arguments[1:] if 'name' not in named else arguments
    init = named.get('init_fn') or rest[0]
    values = rest if 'init_fn' in named else rest[1:]
    texts = [writer.text(item) for item in values] + [
      f'{key}={writer.text(item)}' for key, item in named.items() if key in ('shape', 'dtype')
    ]
    head = writer.text(init)
    head = f'({head})' if isinstance(init, ast.Lambda) else head
    return f'nnx.Param({head}({", ".join(["rngs.params()", *texts])}))'

  def _variable(self, member: Member, writer: StaticWriter) -> str:
    kind = variable_class(self.plan, member.creation.target)
    text = self._first_value(member, writer)
    if oracle.is_dim(member.creation.value) or isinstance(member.creation.value, (int, float)):
      self.names.imports.add(('jax.numpy', 'jnp'))
      return f'{kind}(jnp.asarray({text}))'  # a Variable of NNX holds an array
    return f'{kind}({text})'

  def _first_value(self, member: Member, writer: StaticWriter) -> str:
    node = member.creation.node
    named = {item.arg: item.value for item in node.keywords}
    arguments = list(node.args)
    if 'unbox' in named or any(isinstance(item, ast.Starred) for item in arguments):
      raise Refused(f'self.variable with unusual arguments (line {node.lineno})')
    init = named.get('init_fn') or (arguments[2] if len(arguments) > 2 else None)
    if init is None:
      raise Refused(f'self.variable without an initial value (line {node.lineno})')
    if self._draws(init):
      raise Refused(f'the variable of line {node.lineno} is initialised with a random key')
    rest = arguments[3:]
    if isinstance(init, ast.Lambda) and not rest and not init.args.args:
      return writer.text(init.body)
    head = writer.text(init)
    head = f'({head})' if isinstance(init, ast.Lambda) else head
    return f'{head}({", ".join(writer.text(item) for item in rest)})'

  def _draws(self, node: ast.AST) -> bool:
    return any(isinstance(item, ast.Attribute) and item.attr == 'make_rng' for item in ast.walk(node))


def _same_call(member: Member, other: Member) -> bool:
  """Tells whether two classes made by one call are called alike."""
  first, second = member.child, other.child
  assert first is not None and second is not None
  return (member.on_call, first.threaded) == (other.on_call, second.threaded)


def _called_otherwise(creation: Any) -> bool:
  return any(use.method != '__call__' for use in creation.uses)


def _needs_input(record: Any) -> bool:
  from rewrites.record import Facts

  for size in record.sizes:
    try:
      size.of(Facts({}, {}))
    except Exception:
      return True
  return False


def _known(uses: list[Any]) -> list[Any]:
  known = [
    use
    for use in uses
    if any(isinstance(value, Array) for value in (*use.args, *use.kwargs.values()))
    or any(contains(value, Array) for value in use.args)
  ]
  return known or uses


def _positional(record: Any, name: str, use: Any) -> bool:
  names = [argument.nnx for argument in record.call]
  return name in names and names.index(name) < len(use.args)
