"""Writes one NNX class: signature, constructor, methods."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from migrator.manifest import SizeArgument
from migrator.shapes.values import Array, Instance, Late, Partial, contains

from . import layer_call
from .bridge import linen_member
from .call_writer import CallWriter
from .comments import restored
from .init_writer import InitWriter, Line
from .layer_call import Refused
from .linen_names import LinenNames
from .module_api import refuse_layer_methods
from .plan import ClassPlan, Member, variable_class
from .shape_text import shape_text
from .sizes import PLACEHOLDER, InputAxis, NotStatic, SizeWriter
from .static import StaticWriter
from .text import Edits, SourceText, wrapped_call


class ClassWriter:
  """Turns a class plan into text.

  plans: plans of the classes it uses; exact: write the helpers that give Linen's bits.
  """

  def __init__(
    self, plan: ClassPlan, plans: Mapping[str, ClassPlan], source: SourceText, names: LinenNames, exact: bool
  ) -> None:
    self.plan = plan
    self.plans = plans
    self.source = source
    self.names = names
    self.exact = exact
    self.edits = Edits(source)
    self.call = CallWriter(plan, self.edits, names)
    self.unit = _unit(plan.source.node, source)
    self.base_indent = source.indent(plan.source.node)
    self.fields = {name for name in plan.source.fields if name not in plan.call_fields}
    self.needs_rngs = False
    self.properties: dict[str, tuple[str, list[str]]] = {}
    self.asked: dict[InputAxis, None] = {}
    self.writers: dict[int, tuple[StaticWriter, SizeWriter]] = {}

  def write(self) -> None:
    """Sets `plan.text`, `plan.size_arguments`, helpers and imports.

    Raises:
      Refused, NotStatic: the class cannot be native.
    """
    inits = self._inits()
    body = self._constructor_body(inits)
    for method in self.plan.source.own_methods.values():
      if method.name != 'setup':
        self.call.rewrite(method.node, inits.get(id(method.node)))
    self._call_signature()
    self.bound_in_body = _bound_names(body)
    self._bases()
    self._rest_of_class()
    self._size_arguments()
    text = self._decide(self._assemble(body))
    self.plan.text = restored(self.source, self.plan.source.node, text, self.plan.members)
    self.plan.helpers.update(self.names.helpers)
    self.plan.imports |= self.names.imports | {('flax', 'nnx')}
    self.plan.imports |= set().union(*(sizes.imports for _, sizes in self.writers.values()))
    if self.plan.helpers:
      self.plan.outcome = 'helper'

  # -- constructor -----------------------------------------------------------------------------------

  def _tools(self, method: ast.FunctionDef) -> tuple[StaticWriter, SizeWriter]:
    if id(method) not in self.writers:
      rename = lambda node: self.names.rename(node, method)
      writer = StaticWriter(
        self.source,
        self.plan.analysis.record.values,
        method,
        self.fields,
        rename,
        lambda node: self._created(node, method),
      )
      field = lambda source: source if _root(source) in writer.rebound else self._field(source)
      sizes = SizeWriter(self.plan.analysis.table, writer.text, writer.expression, field)
      writer.sizes = sizes
      self.writers[id(method)] = (writer, sizes)
    return self.writers[id(method)]

  def _field(self, source: str) -> str:
    name = re.split(r'[.\[(]', source.removeprefix('self.'))[0] if source.startswith('self.') else ''
    if source.startswith('len(self.'):
      return 'len(' + self._field(source[4:-1]) + ')'
    if name in self.plan.call_fields:
      raise NotStatic(f'{source} is only known at the call')
    return source.removeprefix('self.') if name in self.fields else source

  def _inits(self) -> dict[int, InitWriter]:
    inits: dict[int, InitWriter] = {}
    for method in self.plan.source.own_methods.values():
      members = [
        member
        for member in self.plan.members
        if member.creation.inside is method.node and member.inside is None
      ]
      if not members or method.name == 'setup':
        continue
      writer, sizes = self._tools(method.node)
      outer = {id(member.creation.node): member for member in members if not member.lazy}
      inits[id(method.node)] = InitWriter(method.node, writer, sizes, outer, self._expression, self.unit)
    return inits

  def _constructor_body(self, inits: dict[int, InitWriter]) -> list[str]:
    inherited = {
      name for base in self.plan.source.bases if base in self.plans for name in self.plans[base].source.fields
    }
    own = [
      name
      for name in self.plan.source.own_fields
      if name not in self.plan.call_fields and name not in inherited
    ]
    lines = self._super_call()
    lines += [f'self.{name} = {self._stored(name)}' for name in own]
    if any(creation.kind == 'rng' and self._is_own(creation) for creation in self.plan.analysis.record.order):
      lines.append('self.rngs = rngs.fork()')
      self.needs_rngs = True
    if any(
      creation.kind == 'mutable' and self._is_own(creation) for creation in self.plan.analysis.record.order
    ):
      lines.append(self._mode())
    lines += self._setup()
    lines += [f'self.{member.attribute} = nnx.data(None)' for member in self.plan.members if member.lazy]
    written = [
      (method, init.lines())
      for method in self.plan.source.own_methods.values()
      if (init := inits.get(id(method.node)))
    ]
    for method, _ in written:
      self.plan.assumptions += inits[id(method.node)].assumptions
    for method, found in sorted(written, key=lambda item: item[0].name != '__call__'):
      lines += self._with_comments(found, inits[id(method.node)])
    for _, sizes in self.writers.values():
      self.asked.update(sizes.needed)
    return lines

  def _mode(self) -> str:
    """The attribute that `model.train()` and `model.eval()` set, for a class that asks whether its statistics may change."""
    if 'use_running_average' in self.plan.source.fields or 'use_running_average' in self.plan.source.methods:
      raise Refused(
        'it asks whether batch_stats is mutable, and use_running_average means something else in it'
      )
    self.plan.assumptions.append(
      'model.train() and model.eval() decide whether batch statistics change, where Linen looks at '
      "mutable=['batch_stats']"
    )
    return 'self.use_running_average = False'

  def _is_own(self, creation: Any) -> bool:
    return any(
      creation.inside is method.node or id(creation.inside) in {id(child) for child in ast.walk(method.node)}
      for method in self.plan.source.own_methods.values()
    )

  def _stored(self, name: str) -> str:
    field = self.plan.source.fields[name]
    if field.default_factory:
      return (
        f'({self.text_of(field.default)})() if {name} is None else {name}'
        if not isinstance(field.default, ast.Name)
        else f'{self.text_of(field.default)}() if {name} is None else {name}'
      )
    return name

  def _super_call(self) -> list[str]:
    bases = [self.plans[base] for base in self.plan.source.bases if base in self.plans]
    lines = []
    for base in bases:
      arguments = [f'{name}={name}' for name in base.source.fields if name not in base.call_fields]
      arguments += [f'{item.name}={item.name}' for item in base.size_arguments]
      if base.takes_rngs:
        arguments.append('rngs=rngs')
        self.needs_rngs = True
      lines.append(f'super().__init__({", ".join(arguments)})')
    return lines[:1]

  def _setup(self) -> list[str]:
    method = self.plan.source.own_methods.get('setup')
    if method is None:
      return []
    from .setup_writer import SetupWriter

    writer, sizes = self._tools(method.node)
    written = SetupWriter(self, method.node, writer, sizes).lines()
    return written

  def _with_comments(self, lines: list[Line], init: InitWriter) -> list[str]:
    """Returns constructor lines; a statement that leaves the call takes its comments along."""
    written: list[str] = []
    used: set[int] = set()
    for line in lines:
      if line.statement is not None and id(line.statement) not in used and self._comment_moves(line, init):
        used.add(id(line.statement))
        written += self._comments(line)
      written.append(textwrap.indent(line.text, self.unit * line.level))
    return written

  def _comment_moves(self, line: Line, init: InitWriter) -> bool:
    return id(line.statement) in init.moved or id(line.statement) in init.definitions

  def _comments(self, line: Line) -> list[str]:
    assert line.statement is not None
    statement = line.statement
    start = self.source.leading_comments(statement, 0)
    text = self.source.slice(start, self.source.line_start(self.source.start(statement)))
    if not text.strip():
      return []
    removed = id(statement) in getattr(self.call, 'removed', {})
    if not removed:
      self.edits.replace_range(start, start + len(text.encode()), '')
    return [self.unit * line.level + comment.strip() for comment in text.splitlines() if comment.strip()]

  # -- creations as expressions ------------------------------------------------------------------------

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
      self.needs_rngs = True
      return linen_member.write(
        member,
        member.stays,
        self.plans,
        self.names.project,
        writer.text,
        lambda shape: shape_text(shape, sizes, size_text),
        self.names.spell,
      )
    return self._class(member, writer, size_text)

  def _head(self, member: Member, writer: StaticWriter) -> str:
    function = member.creation.node.func
    return writer.text(function)

  def _layer(self, member: Member, writer: StaticWriter, size_text: Any) -> str:
    record, creation = member.record, member.creation
    assert record is not None
    refuse_layer_methods(member)
    partials = [partial.node for partial in creation.partials if partial.node is not None]
    given = layer_call.bound_arguments(record, creation.node, partials)
    uses = [use for use in creation.uses if use.method == '__call__']
    if record.sizes and not uses and not _called_otherwise(creation) and _needs_input(record):
      raise Refused(
        f'{record.linen[0].rsplit(".", 1)[-1]} is never called where its input could be seen (line {creation.line})'
      )
    found = layer_call.facts(record, given, self.call.value, _known(uses), creation.arguments)
    flags = lambda name: (
      bool(uses) and all(name in use.kwargs or _positional(record, name, use) for use in uses)
    )
    written = layer_call.write(
      record, given, found, writer.text, self._value_of(creation), size_text, self.exact, set(), flags
    )
    member.on_call = written.on_call
    for helper in written.helpers:
      self.names.helpers[helper.name] = helper
    if 'rngs=rngs' in written.arguments:
      self.needs_rngs = True
    return self._wrapped(self._head(member, writer), written.arguments, member)

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
    level = sum(isinstance(node, (ast.For, ast.If, ast.With)) for node, _ in member.creation.path)
    used = len(self.base_indent + self.unit * (2 + level)) + len(member.attribute) + 8
    if used + len(head) + len(', '.join(arguments)) + 2 <= 100 or '\n' in ''.join(arguments):
      return f'{head}({", ".join(arguments)})'
    return wrapped_call(head, arguments, '', 100 - len(self.base_indent + self.unit * (2 + level)))

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
    arguments += [f'{size.name}={self._child_size(member, size, size_text)}' for size in child.size_arguments]
    if child.takes_rngs:
      arguments.append('rngs=rngs')
      self.needs_rngs = True
    for name in child.threaded:
      self._thread_from(member, name)
    return self._wrapped(self._head(member, writer), arguments, member)

  def _thread_from(self, member: Member, name: str) -> None:
    method = member.creation.inside
    arguments = {item.arg for item in (*method.args.args, *method.args.kwonlyargs)}
    if name not in arguments and name not in self.plan.threaded and name not in self.plan.call_fields:
      child = member.creation.target
      raise Refused(f'{child} needs the flag {name}, which is not known here (line {member.creation.line})')

  def _child_size(self, member: Member, size: SizeArgument, size_text: Any) -> str:
    assert member.child is not None
    method = member.child.source.methods[size.method]
    names = [item.arg for item in (*method.node.args.posonlyargs, *method.node.args.args)][1:]
    found = []
    for use in member.creation.uses:
      if use.method != size.method:
        continue
      value = {**dict(zip(names, use.args)), **use.kwargs}.get(size.argument)
      if isinstance(value, Array):
        found.append(value.shape)
      elif value is not None:
        raise Refused(
          f'the shape of {size.argument} given to {member.child.name} is not known (line {member.creation.line})'
        )
    if not found:
      if size.optional:
        return 'None'
      raise Refused(
        f'the shape of {size.argument} given to {member.child.name} is not known (line {member.creation.line})'
      )
    shape = found[0]
    if size.axis is not None:
      return str(size_text(shape[size.axis]))
    return shape_text(shape, self._tools(member.creation.inside)[1], size_text)

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
    return f'{parts[0]}({", ".join(parts[1:])})'

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
    self.needs_rngs = True
    head = writer.text(init)
    head = f'({head})' if isinstance(init, ast.Lambda) else head
    return f'nnx.Param({head}({", ".join(["rngs.params()", *texts])}))'

  def _variable(self, member: Member, writer: StaticWriter) -> str:
    node = member.creation.node
    named = {item.arg: item.value for item in node.keywords}
    arguments = list(node.args)
    if 'unbox' in named or any(isinstance(item, ast.Starred) for item in arguments):
      raise Refused(f'self.variable with unusual arguments (line {node.lineno})')
    kind = variable_class(self.plan, member.creation.target)
    init = named.get('init_fn') or (arguments[2] if len(arguments) > 2 else None)
    if init is None:
      raise Refused(f'self.variable without an initial value (line {node.lineno})')
    if self._draws(init):
      raise Refused(f'the variable of line {node.lineno} is initialised with a random key')
    rest = arguments[3:]
    if isinstance(init, ast.Lambda) and not rest and not init.args.args:
      return f'{kind}({writer.text(init.body)})'
    head = writer.text(init)
    head = f'({head})' if isinstance(init, ast.Lambda) else head
    return f'{kind}({head}({", ".join(writer.text(item) for item in rest)}))'

  def _draws(self, node: ast.AST) -> bool:
    return any(isinstance(item, ast.Attribute) and item.attr == 'make_rng' for item in ast.walk(node))

  # -- class text -------------------------------------------------------------------------------------

  def text_of(self, node: ast.AST | None) -> str:
    if node is None:
      return ''
    edits = Edits(self.source)
    for child in ast.walk(node):
      if isinstance(child, (ast.Name, ast.Attribute)):
        new = self.names.rename(child)
        if new is not None:
          edits.replace(child, new)
    return edits.node(node)

  def _bases(self) -> None:
    for node in self.plan.source.node.bases:
      new = self.names.rename(node)
      if new is not None:
        self.edits.replace(node, new)

  def _call_signature(self) -> None:
    extra = list(self.plan.call_fields.values())
    extra += [self._threaded_parameter(name) for name in self.plan.threaded]
    if not extra:
      return
    method = self.plan.source.own_methods['__call__'].node
    arguments = method.args
    listed = [*arguments.posonlyargs, *arguments.args]
    if arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
      anchor = arguments.kwonlyargs[-1] if arguments.kwonlyargs else None
      if anchor is None or arguments.kwarg:
        raise Refused('__call__ takes *args or **kwargs, so flags cannot be added')
      end = max(
        [
          self.source.end(anchor),
          *(self.source.end(item) for item in arguments.kw_defaults if item is not None),
        ]
      )
      self.edits.replace_range(end, end, ''.join(f', {item}' for item in extra))
      return
    ends = [self.source.end(item) for item in (*listed, *arguments.defaults)]
    required = any('=' not in item for item in extra) and bool(arguments.defaults)
    text = ''.join(f', {item}' for item in (['*', *extra] if required else extra))
    self.edits.replace_range(max(ends), max(ends), text)

  def _threaded_parameter(self, name: str) -> str:
    """A flag passed through keeps annotation and default of the class it comes from."""
    for user in self.plan.analysis.users:
      method = self.names.project.classes[user].methods.get('__call__')
      found = _parameter_text(method.node, name) if method is not None else None
      if found is not None:
        return found
    return f'{name}: bool'

  def _rest_of_class(self) -> None:
    """Renames Linen things outside methods and in signatures."""
    for statement in self.plan.source.node.body:
      if isinstance(statement, ast.FunctionDef):
        if statement.name == 'setup':
          continue
        parts: list[ast.AST] = [statement.args, *statement.decorator_list]
        if statement.returns is not None:
          parts.append(statement.returns)
        for part in parts:
          self.call._names(part)
      elif isinstance(statement, ast.ClassDef) and self._nested(statement):
        continue
      elif not self._is_field(statement):
        self.call._names(statement)
    if self.names.left:
      line, name = self.names.left[0]
      raise Refused(f'{name.replace("flax.linen", "nn")}: {self.names.reason(name)} (line {line})')

  def _nested(self, node: ast.ClassDef) -> bool:
    """Puts a nested class that has its own plan in its place."""
    plan = self.plans.get(f'{self.plan.name}.{node.name}')
    if plan is not None and plan.native:
      self.edits.replace_range(
        self.source.start(node), self.source.line_end(self.source.end(node)), plan.text
      )
      self.plan.helpers.update(plan.helpers)
      self.plan.imports |= plan.imports
    return plan is not None

  def _is_field(self, statement: ast.stmt) -> bool:
    return isinstance(statement, ast.AnnAssign) and any(
      field.node is statement for field in self.plan.source.own_fields.values()
    )

  def _size_arguments(self) -> None:
    """Decides for every call argument whether its features or its whole shape is asked for."""
    by_argument: dict[tuple[str, str], list[InputAxis]] = {}
    for axis in self.asked:
      by_argument.setdefault((axis.method, axis.argument), []).append(axis)
    taken = set(self.plan.source.fields) | self.bound_in_body
    absent = set().union(*(sizes.absent for _, sizes in self.writers.values()))
    only = len(by_argument) == 1
    inherited = {
      item.name: item
      for base in self.plan.source.bases
      if base in self.plans
      for item in self.plans[base].size_arguments
    }
    self.plan.size_arguments = list(inherited.values())
    self.size_names: dict[tuple[str, str], tuple[str, bool]] = {}
    for (method, argument), axes in by_argument.items():
      whole = any(axis.axis != -1 for axis in axes)
      arrays = self._arrays(method)
      name = (
        f'{argument}_shape' if whole else ('in_features' if only and arrays <= 1 else f'{argument}_features')
      )
      if name in inherited and (inherited[name].method, inherited[name].argument) != (method, argument):
        name = f'{argument}_features'
      while name in taken:
        name = f'input_{name}'
      taken.add(name)
      self.size_names[(method, argument)] = (name, whole)
      if name not in inherited:
        self.plan.size_arguments.append(
          SizeArgument(name, method, argument, None if whole else -1, (method, argument) in absent)
        )
        self.plan.size_texts[name] = f'{argument}.shape' if whole else f'{argument}.shape[-1]'

  def _arrays(self, method: str) -> int:
    listed = self.plan.analysis.parameters.get(method, [])
    return sum(parameter.role in ('array', 'optional') for parameter in listed)

  def _decide(self, text: str) -> str:
    def put(match: re.Match[str]) -> str:
      name, whole = self.size_names[(match.group(1), match.group(2))]
      part = {'all': '', 'leading': '[:-1]'}.get(match.group(3), f'[{match.group(3)}]')
      if match.group(3).startswith('from'):
        part = f'[{match.group(3).removeprefix("from")}:]'
      return f'{name}{part}' if whole else name

    return PLACEHOLDER.sub(put, text)

  def _assemble(self, body: list[str]) -> str:
    node = self.plan.source.node
    indent = self.base_indent + self.unit
    self._finish_needs()
    init = self._init_text(body, indent)
    removed = self._removed_ranges()
    place = self._place(node, removed)
    for start, end in removed:
      self.edits.replace_range(start, end, '')
    start, end = self.source.start(node), self.source.line_end(self.source.end(node))
    before = self.edits.apply(start, place).rstrip(' \n')
    after = self.edits.apply(place, end).strip('\n')
    bare = not before.rstrip().endswith(('"""', "'''")) and '\n' not in before
    gap = '\n\n'
    text = f'{before}{gap}{init}'
    if after.strip():
      text += f'\n\n{after}'
    return text.rstrip('\n') + '\n' if not bare else text.rstrip('\n') + '\n'

  def _finish_needs(self) -> None:
    bases = [self.plans[base] for base in self.plan.source.bases if base in self.plans]
    self.plan.takes_rngs = True
    del bases

  def _removed_ranges(self) -> list[tuple[int, int]]:
    ranges = []
    floor = self.source.own_start(self.plan.source.node)
    for statement in self.plan.source.node.body:
      if self._is_field(statement) or (isinstance(statement, ast.FunctionDef) and statement.name == 'setup'):
        start = self.source.leading_comments(statement, self.source.line_end(floor))
        ranges.append((start, self.source.line_end(self.source.end(statement))))
      if isinstance(statement, ast.Pass):
        ranges.append(
          (
            self.source.line_start(self.source.own_start(statement)),
            self.source.line_end(self.source.end(statement)),
          )
        )
    return ranges

  def _place(self, node: ast.ClassDef, removed: list[tuple[int, int]]) -> int:
    """Returns where the constructor goes: before the first method, or at the end."""
    for statement in node.body:
      if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return self.source.leading_comments(statement, self.source.line_end(self.source.own_start(node)))
    return self.source.line_end(self.source.end(node.body[-1]))

  def _init_text(self, body: list[str], indent: str) -> str:
    inner = indent + self.unit
    signature = self._signature(indent)
    lines = [textwrap.indent(line, inner) for line in body] or [f'{inner}pass']
    properties = ''.join(
      self._property_text(name, text, comments, indent) for name, (text, comments) in self.properties.items()
    )
    return signature + '\n' + '\n'.join(lines) + properties

  def _property_text(self, name: str, text: str, comments: list[str], indent: str) -> str:
    inner = indent + self.unit
    rows = [f'{inner}{comment}' for comment in comments] + [textwrap.indent(f'return {text}', inner)]
    return f'\n\n{indent}@property\n{indent}def {name}(self):\n' + '\n'.join(rows)

  def _signature(self, indent: str) -> str:
    fields = [
      self.plan.source.fields[name] for name in self.plan.source.fields if name not in self.plan.call_fields
    ]
    plain = [self._field_parameter(field) for field in fields if not field.kw_only]
    keyword = [self._field_parameter(field) for field in fields if field.kw_only]
    sizes = []
    for item in self.plan.size_arguments:
      annotation = 'int' if item.axis is not None else 'tuple[int, ...]'
      sizes.append((f'{item.name}: {annotation}{" | None" if item.optional else ""}', ''))
    rows = [('self', ''), *plain, ('*', ''), *keyword, *sizes, ('rngs: nnx.Rngs', '')]
    comments = any(comment for _, comment in rows)
    line = f'{indent}def __init__({", ".join(text for text, _ in rows)}):'
    if len(self._decide(line)) <= 100 and not comments:
      return line
    deeper = indent + self.unit * 2
    parts = [f'{indent}def __init__(']
    for text, comment in rows:
      parts += [f'{deeper}{extra}' for extra in comment.split('\n')[:-1] if comment]
      trailing = comment.split('\n')[-1] if comment else ''
      parts.append(f'{deeper}{text},{"  " + trailing if trailing else ""}')
    return '\n'.join([*parts, f'{indent}):'])

  def _field_parameter(self, field: Any) -> tuple[str, str]:
    """Returns the parameter text and its comments (lines above, then the trailing one)."""
    if field.owner is not self.plan.source:
      return self._foreign_parameter(field), ''
    text = f'{field.name}: {self.text_of(field.annotation)}'
    if field.default_factory:
      text += ' | None = None' if 'Optional' not in text else ' = None'
    elif field.default is not None:
      text += f' = {self.text_of(field.default)}'
    return text, self._field_comments(field.node)

  def _foreign_parameter(self, field: Any) -> str:
    annotation = ast.unparse(field.annotation)
    if self._reaches(field.owner.module, field.annotation):
      text = f'{field.name}: {annotation}'
    else:
      text = f'{field.name}'
    if field.default_factory:
      return f'{field.name} = None' if ':' in text else f'{field.name}=None'
    if field.default is None:
      return text
    default = self._foreign_default(field)
    return f'{text} = {default}' if ':' in text else f'{text}={default}'

  def _reaches(self, module: Any, node: ast.AST) -> bool:
    """Tells whether every name of an expression of another module means the same here."""
    project = self.names.project
    for child in ast.walk(node):
      if isinstance(child, ast.Name):
        there, here = project.resolve(module, child.id), project.resolve(self.plan.source.module, child.id)
        if there is None or there != here:
          return False
    return True

  def _foreign_default(self, field: Any) -> str:
    if not self._reaches(field.owner.module, field.default):
      raise Refused(f'the default of the inherited field {field.name} is not known in this module')
    other = LinenNames(self.names.project, field.owner.module)
    source = SourceText(field.owner.module.text)
    edits = Edits(source)
    for child in ast.walk(field.default):
      if isinstance(child, (ast.Name, ast.Attribute)):
        new = other.rename(child)
        if new is not None:
          edits.replace(child, new)
    return edits.node(field.default)

  def _field_comments(self, node: ast.AnnAssign) -> str:
    start = self.source.leading_comments(
      node, self.source.line_end(self.source.own_start(self.plan.source.node))
    )
    above = self.source.slice(start, self.source.line_start(self.source.own_start(node)))
    line = self.source.slice(self.source.end(node), self.source.line_end(self.source.end(node))).strip()
    lines = [comment.strip() for comment in above.splitlines() if comment.strip()]
    if not lines and not line.startswith('#'):
      return ''
    return '\n'.join([*lines, line if line.startswith('#') else ''])


def _unit(node: ast.ClassDef, source: SourceText) -> str:
  own, inner = source.indent(node), source.indent(node.body[0])
  return inner[len(own) :] or '  '


def _root(source: str) -> str:
  """Returns the field a size expression starts from: 'self.config.width' -> 'config'."""
  return re.split(r'[.\[(]', source.removeprefix('len(').removeprefix('self.').rstrip(')'))[0]


def _bound_names(body: list[str]) -> set[str]:
  """Returns the variables of the constructor; one that only repeats a size argument is none."""
  names: set[str] = set()
  for line in '\n'.join(body).split('\n'):
    assigned = re.match(r'\s*(?:for )?([A-Za-z_]\w*(?:, *[A-Za-z_]\w*)*)(?: [-+*/]*= | in )(.*)', line)
    if assigned and not PLACEHOLDER.fullmatch(assigned.group(2)):
      names |= set(re.split(r', *', assigned.group(1)))
  return names


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


def _parameter_text(method: ast.FunctionDef, name: str) -> str | None:
  arguments = method.args
  positional = [*arguments.posonlyargs, *arguments.args]
  defaults = dict(zip([item.arg for item in reversed(positional)], reversed(arguments.defaults)))
  defaults.update(
    {item.arg: value for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults) if value is not None}
  )
  for item in (*positional, *arguments.kwonlyargs):
    if item.arg == name:
      text = f'{name}: {ast.unparse(item.annotation)}' if item.annotation is not None else name
      if name in defaults:
        text += (' = ' if item.annotation is not None else '=') + ast.unparse(defaults[name])
      return text
  return None
