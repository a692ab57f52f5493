"""Writes one NNX class: signature, constructor, methods."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from migrator.manifest import SizeArgument
from migrator.shapes.outside import outside_methods
from migrator.shapes.values import Array

from .asked import AskedSizes
from .bases import built_bases, made_before_bases, super_call
from .call_writer import CallWriter
from .class_text import ClassText, is_field
from .comments import restored
from .constants import constant_locals
from .init_writer import InitWriter, Line
from .layer_call import Refused
from .linen_names import LinenNames
from .member_writer import MemberWriter
from .module_fields import default_class, default_made, is_list, makes_modules
from .outside import mark_outside
from .plan import ClassPlan
from .quoted import annotations_of, rename_quoted
from .shape_text import shape_text
from .signature import SignatureWriter
from .size_names import SizeNames
from .sizes import InputAxis, NotStatic, SizeWriter, alone
from .static import StaticWriter
from .text import LINE_WIDTH, Edits, SourceText, wrapped_call
from .unbound import unbound_names
from .unreached import unreached_creations


class ClassWriter(MemberWriter):
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
    self.call = CallWriter(plan, self.edits, names, plans)
    self.unit = _unit(plan.source.node, source)
    self.base_indent = source.indent(plan.source.node)
    # What a factory makes by default is only known as the attribute, which the constructor sets first.
    self.fields = {
      name
      for name, field in plan.source.fields.items()
      if name not in plan.call_fields and not field.default_factory and default_class(names.project, field) is None
    }
    self.properties: dict[str, list[str]] = {}
    self.asked: dict[InputAxis, None] = {}
    self.writers: dict[int, tuple[StaticWriter, SizeWriter]] = {}
    self.asked_sizes = AskedSizes(plan)
    self.outside = outside_methods(plan.source)
    self.built: list[ClassPlan] = []

  def write(self) -> None:
    """Sets `plan.text`, `plan.size_arguments`, helpers and imports.

    Raises:
      Refused, NotStatic: the class cannot be native.
    """
    self._refuse_unreached()
    self.built = built_bases(self.plan, self.plans)
    made_before_bases(self.plan)
    inits = self._inits()
    body = self._constructor_body(inits)
    for method in self.plan.source.own_methods.values():
      if method.name in self.outside:
        mark_outside(self.plan, method.node, self.edits)
      elif method.name != 'setup':
        self.call.rewrite(method.node, inits.get(id(method.node)))
    signature = SignatureWriter(self.plan, self.source, self.names, self.edits, self.unit, self.text_of)
    signature.extend_call()
    self._bases()
    self._rest_of_class()
    absent = set().union(*(sizes.absent for _, sizes in self.writers.values()))
    names = SizeNames(self.plan, self._passed_on(), self.asked, absent, body)
    self.plan.size_arguments = names.arguments(self.asked_sizes.found)
    layout = ClassText(self.plan.source, self.source, self.edits, self.base_indent, self.unit)
    text = layout.text(signature.constructor(layout.indent), body, self.properties)
    text = self._without_keys(names.put(text, layout.indent + self.unit))
    self._refuse_unbound(text)
    self.plan.text = restored(self.source, self.plan.source.node, text, self.plan.members)
    self.plan.helpers.update(self.names.helpers)
    self.plan.imports |= self.names.imports | {('flax', 'nnx')}
    self.plan.imports |= set().union(*(sizes.imports for _, sizes in self.writers.values()))
    if self.plan.helpers:
      self.plan.outcome = 'helper'

  def _refuse_unreached(self) -> None:
    """Code that makes a module, but that no run of the interpreter came to, cannot be completed."""
    found, never = unreached_creations(self.plan, self.names, self.outside)
    if found:
      raise Refused(f'nothing is known of what is made under conditions that never held: {", ".join(found)}')
    self.plan.assumptions += [f'{made}: never made, since the shapes that are compared are equal' for made in never]

  def _refuse_unbound(self, text: str) -> None:
    """A name that nothing binds would fail when the model is built, or mean something else."""
    source = self.plan.source
    imported = {alias or module.partition('.')[0] for module, alias in self.names.imports}
    imported |= {alias or module for _, sizes in self.writers.values() for module, alias in sizes.imports}
    bound = {'nnx', *source.module.bindings, *self.names.helpers, *self.plan.helpers, *self.plan.collections, *imported}
    missing = unbound_names(self.source.node(source.node), text, bound)
    if missing:
      raise Refused(f'the constructor would read {", ".join(missing)}, which only the call knows')

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
        constant_locals(
          method,
          self.fields | {name for base in self.plan.source.mro for name in base.constants},
          set(self.call.by_node),
          method.name == 'setup',
        ),
      )
      field = lambda source: source if _root(source) in writer.rebound else self._field(source)
      sizes = SizeWriter(self.plan.analysis.table, self._condition_of_sizes, writer.expression, field)
      writer.sizes = sizes
      writer.of_input = self._dtype_of_input
      writer.stored = _set_once(self.plan.source)
      self.writers[id(method)] = (writer, sizes)
    return self.writers[id(method)]

  def _dtype_of_input(self, node: ast.Attribute) -> str:
    text = f'{ast.unparse(node)} is taken to be float32 in the constructor (line {node.lineno})'
    if text not in self.plan.assumptions:
      self.plan.assumptions.append(text)
    return self.names.spell('jax.numpy.float32')

  def _condition_of_sizes(self, test: ast.expr, sizes: SizeWriter) -> str:
    """Writes the condition that decides between two sizes, in the terms of the method it stands in.

    sizes: the writer that needs it; whether an optional input is given is asked of the sizes it has asked for.
    """
    inside = self.plan.source.module.nodes.inside
    method = next((item.node for item in self.plan.source.own_methods.values() if inside(test, item.node)), None)
    if method is None:
      raise NotStatic(f'the size depends on {ast.unparse(test)}, which other code decides')
    writer, own = self._tools(method)
    if own is sizes:
      return writer.text(test)
    own.needed |= sizes.needed
    before = set(writer.needed)
    text = writer.text(test)
    if set(writer.needed) - before:
      raise NotStatic(f'the size depends on {ast.unparse(test)}, which is computed in the call')
    return text

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
      name for base in self.built for name in base.source.fields
    }
    fields = self.plan.source.own_fields if self.built else self.plan.source.fields
    own = [name for name in fields if name not in self.plan.call_fields and name not in inherited]
    self.plan.assumptions += [
      f'self.{name} is a field and hides model.{name}(): nnx.Module.{name}(model) still works'
      for name in own
      if name in ('train', 'eval')
    ]
    lines = self._super_call()
    lines += [f'self.{name} = {self._stored(name)}' for name in own]
    if any(creation.kind == 'rng' and self._is_own(creation) for creation in self.plan.analysis.record.order):
      lines.append('self.rngs = rngs.fork()')
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
      self.plan.source.module.nodes.inside(creation.inside, method.node)
      for method in self.plan.source.own_methods.values()
    )

  def _stored(self, name: str) -> str:
    field, project = self.plan.source.fields[name], self.names.project
    made = default_class(project, field)
    if made is not None:
      self.needs_rngs = True
      return default_made(name, self.plans.get(made), field, self.asked_sizes.found)
    if makes_modules(project, field):
      raise Refused(f'the field {name} makes modules by default (line {field.node.lineno})')
    if is_list(project, field) and not field.default_factory:
      return f'nnx.List({name})'
    if is_list(project, field) and _empty(field.default):
      return f'nnx.List([] if {name} is None else {name})'
    if field.default_factory:
      return f'{self._from_factory(field.default)} if {name} is None else {name}'
    return name

  def _from_factory(self, factory: ast.expr) -> str:
    if isinstance(factory, ast.Lambda):
      return self.text_of(factory.body)
    return f'{self.text_of(factory)}()' if isinstance(factory, ast.Name) else f'({self.text_of(factory)})()'

  def _super_call(self) -> list[str]:
    lines = []
    for base in self.built:
      arguments = [f'{name}={name}' for name in base.source.fields if name not in base.call_fields]
      arguments += [f'{item.name}={self._size_of_base(item)}' for item in base.size_arguments]
      arguments.append('rngs=rngs')
      lines.append(
        wrapped_call('super().__init__', arguments, '', LINE_WIDTH - len(self.base_indent + self.unit * 2))
      )
    return lines[:1]

  def _size_of_base(self, size: SizeArgument) -> str:
    """Returns a size argument of the base: its own name, or what `super().<method>(...)` is given in this class."""
    method = self.plan.source.own_methods.get(size.method)
    call = super_call(method.node, size.method) if method is not None else None
    if method is None or call is None or size.asked:
      return size.name
    base = next(item for item in self.plan.source.mro[1:] if size.method in item.own_methods)
    arguments = base.own_methods[size.method].node.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)][1:]
    given = dict(zip(names, call.args)) | {item.arg: item.value for item in call.keywords if item.arg}
    value = self.call.value(given[size.argument]) if size.argument in given else None
    if not isinstance(value, Array):
      raise Refused(f'the shape of {size.argument} given to its base is not known (line {call.lineno})')
    _, sizes = self._tools(method.node)
    if size.axis is not None:
      return alone(sizes.parameter(value.shape[size.axis]))
    return shape_text(value.shape, sizes, sizes.parameter)

  def _passed_on(self) -> dict[str, SizeArgument]:
    """Returns the size arguments of the bases that are arguments of this class as well."""
    # A method that calls the one it overrides tells its sizes; one that does not has arguments of its own by these names.
    told = {
      name for name, method in self.plan.source.own_methods.items() if super_call(method.node, name) is not None
    }
    return {
      item.name: item
      for base in self.built
      for item in base.size_arguments
      if item.asked or item.method not in told
    }

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

  # -- class text -------------------------------------------------------------------------------------

  def text_of(self, node: ast.AST | None, annotation: bool = False) -> str:
    if node is None:
      return ''
    edits = Edits(self.source)
    if annotation:
      rename_quoted(node, self.names, edits)
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
        for part in ast.walk(statement):
          for annotation in annotations_of(part):
            rename_quoted(annotation, self.names, self.edits)
      elif isinstance(statement, ast.ClassDef) and self._nested(statement):
        continue
      elif not is_field(self.plan.source, statement):
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

  def _without_keys(self, text: str) -> str:
    """A random key that only the constructor reads is no attribute: it would be a leaf of the state."""
    for name, field in self.plan.source.own_fields.items():
      key = field.default_factory and re.search(r'\b(PRNGKey|random\.key)\b', ast.unparse(field.default))
      if not key:
        continue
      reads = re.compile(rf'\bself\.{name}\b')
      start = text.index('def __init__(')
      end = text.find('\n' + self.base_indent + self.unit + 'def ', start)
      end = len(text) if end < 0 else end
      if not reads.search(text[:start] + text[end:]):
        text = text[:start] + reads.sub(name, text[start:end]) + text[end:]
    return text

def _empty(factory: ast.expr) -> bool:
  """Tells whether a factory makes an empty list or tuple: `list`, `lambda: []`."""
  if isinstance(factory, ast.Name):
    return factory.id in ('list', 'tuple')
  return isinstance(factory, ast.Lambda) and isinstance(factory.body, (ast.List, ast.Tuple)) and not factory.body.elts


def _set_once(source: Any) -> set[str]:
  """Returns the attributes that `setup` sets and no other method changes, and the fields that have a factory."""
  factories = {name for name, field in source.fields.items() if field.default_factory}
  found: set[str] = set()
  others: set[str] = set()
  for method in source.methods.values():
    for node in ast.walk(method.node):
      if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        (found if method.name == 'setup' else others).add(node.attr)
  return found - others | factories


def _unit(node: ast.ClassDef, source: SourceText) -> str:
  own, inner = source.indent(node), source.indent(node.body[0])
  return inner[len(own) :] or '  '


def _root(source: str) -> str:
  """Returns the field a size expression starts from: 'self.config.width' -> 'config'."""
  return re.split(r'[.\[(]', source.removeprefix('len(').removeprefix('self.').rstrip(')'))[0]
