"""Modules inside the interpreter: attributes, `setup`, calls, and the Linen module interface."""

from __future__ import annotations

import ast
import functools
from typing import Any

from . import oracle
from .events import Creation, Use
from .guessed import guessed_input
from .inner_layers import note_inner_uses
from .joins import elements, join
from .layers import layer_output, parameter_shape
from .lifting import lifted_call
from .summaries import follow
from .values import (
  Alternatives,
  Array,
  Bound,
  ClassRef,
  Closure,
  External,
  Instance,
  Late,
  Opaque,
  Repeated,
  Unknown,
  Value,
  VariableRef,
  first_unknown,
)

_API = (
  'param',
  'variable',
  'make_rng',
  'sow',
  'perturb',
  'is_initializing',
  'is_mutable_collection',
  'has_variable',
  'get_variable',
  'put_variable',
  'has_rng',
  'clone',
  'copy',
  'bind',
  'unbind',
  'init',
  'apply',
  'variables',
  'scope',
  'parent',
  'path',
  'tabulate',
  'init_with_output',
  'get_parameter',
  'lazy_init',
)
_REFUSED = {
  'is_mutable_collection': 'self.is_mutable_collection() has no counterpart in NNX',
  'has_variable': 'self.has_variable() asks for a variable by a computed name',
  'get_variable': 'self.get_variable() reads another variable by name',
  'put_variable': 'self.put_variable() writes another variable by name',
  'variables': 'self.variables reads the whole variable tree',
  'scope': 'self.scope is internal to Linen',
  'parent': 'self.parent has no counterpart in NNX',
  'path': 'self.path has no counterpart in NNX',
  'clone': 'self.clone() copies an unbound module',
  'copy': 'self.copy() copies an unbound module',
  'bind': 'bind() has no counterpart in NNX',
  'unbind': 'unbind() has no counterpart in NNX',
  'init': 'init() is called inside a module',
  'apply': 'apply() is called inside a module',
  'has_rng': 'self.has_rng() has no counterpart in NNX',
  'perturb': 'self.perturb() is not migrated yet',
}


def instance_attribute(it: Any, owner: Instance, name: str, node: ast.AST, frame: Any) -> Value:
  """Returns `owner.name` for a module instance."""
  line = getattr(node, 'lineno', 0)
  if owner.source is None:
    return owner.fields[name] if name in owner.fields else Bound(owner, name)
  ensure_setup(it, owner, frame)
  if name in owner.attributes:
    return owner.attributes[name]
  method = owner.source.methods.get(name)
  if method is not None:
    return _method(it, owner, method, node, frame)
  if name in owner.fields:
    return owner.fields[name]
  for source in owner.source.mro:
    if name in source.constants:
      from .expressions import evaluate
      from .frames import Frame

      return evaluate(it, source.constants[name], Frame({}, source.module, source.node))
    nested = it.project.classes.get(f'{source.name}.{name}')
    if nested is not None:
      return ClassRef(nested)
  if name in _API:
    return Bound(owner, name)
  if name == 'name':
    return Opaque('self.name', 'str', optional=True)
  return Unknown(f'self.{name} is not defined in {owner.source.node.name} or its bases', line)


def _method(it: Any, owner: Instance, method: Any, node: ast.AST, frame: Any) -> Value:
  if method.is_static:
    return Closure(method.node, method.owner.module, owner=method.owner)
  function = Closure(method.node, method.owner.module, None, owner, method.owner)
  if not method.is_property:
    return function
  from .calls import call_closure

  call = node if isinstance(node, ast.Call) else ast.copy_location(ast.Call(node, [], []), node)  # type: ignore[arg-type]
  return call_closure(it, function, (), {}, call, frame)


def ensure_setup(it: Any, owner: Instance, frame: Any) -> None:
  """Runs `setup` once per instance."""
  if owner.ready or owner.source is None:
    return
  owner.ready = True
  setup = owner.source.methods.get('setup')
  if setup is None:
    return
  from .frames import Frame

  inner = Frame(
    {'self': owner},
    setup.owner.module,
    setup.node,
    owner,
    setup.owner,
    subject=owner is it.subject,
    depth=frame.depth + 1,
  )
  it.run(inner, setup.node.body)


def call_instance(
  it: Any,
  owner: Instance,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  method: str = '__call__',
) -> Value:
  """Calls a module instance."""
  if owner.lift is not None:
    return _lifted(it, owner, args, kwargs, node, frame, method)
  if args and isinstance(args[0], Alternatives):
    inputs = [option for option in args[0].options if isinstance(option, Array)]
    if inputs:
      results = [call_instance(it, owner, (item, *args[1:]), kwargs, node, frame, method) for item in inputs]
      return functools.reduce(lambda left, right: join(left, right, None, it.table, 'either'), results)
  if method == 'apply' and owner.source is None and len(args) == 2 and isinstance(args[0], dict):
    return _applied(it, owner, args, kwargs, node, frame)
  use = None
  if owner.creation is not None and it.recording:
    use = Use(node, args, kwargs, method, frame.node, names=_snapshot(frame))
    owner.creation.uses.append(use)
  result = (
    _layer_call(it, owner, args, kwargs, node, frame, method)
    if owner.source is None
    else follow(it, owner, args, kwargs, node, frame, method)
  )
  if use is not None:
    use.output = result
  return result


def _applied(
  it: Any, owner: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  """`layer.apply({'params': weights}, x)`: the layer with weights that are not its own."""
  if owner.creation is not None and it.recording:
    owner.creation.uses.append(Use(node, args, kwargs, 'apply', frame.node, names=_snapshot(frame)))
  return _layer_call(it, owner, args[1:], {}, node, frame, '__call__')


def _lifted(
  it: Any, owner: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any, method: str
) -> Value:
  """Calls one instance of a class that nn.vmap or nn.scan lift."""
  lift, owner.lift = owner.lift, None
  try:
    return lifted_call(
      lift, args, kwargs, node, lambda inner: call_instance(it, owner, inner, {}, node, frame, method)
    )
  finally:
    owner.lift = lift


def _layer_call(
  it: Any,
  owner: Instance,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  method: str,
) -> Value:
  from rewrites.registry import layer_for

  record = layer_for(owner.layer or '')
  if record is not None and record.star_argument:
    return _in_sequence(it, owner.fields.get(record.star_argument), args, kwargs, node, frame)
  if record is not None and record.children:
    note_inner_uses(it, owner, record, args, node, frame)
  from .expressions import as_size

  unknown = args[0] if args and isinstance(args[0], Unknown) else None
  if unknown is not None:
    guess = guessed_input(it, owner, unknown, node, frame)
    if guess is None:
      return unknown
    args = (guess, *args[1:])
  kernel = owner.fields.get('kernel_size')
  if (
    isinstance(kernel, (tuple, list))
    and args
    and isinstance(args[0], Array)
    and len(args[0].shape) == len(kernel) + 1
  ):
    it.note(node.lineno, 'unbatched: the convolution is given an array without a batch axis')
  try:
    return layer_output(_sized(it, owner), tuple(as_size(it, arg) for arg in args), kwargs, method)
  except oracle.OracleFailure as error:
    return unknown or Unknown(f'{(owner.layer or "").rsplit(".", 1)[-1]}: {error}', node.lineno)


def _sized(it: Any, owner: Instance) -> Instance:
  from .expressions import as_size

  fields = {
    name: _sized(it, value)
    if isinstance(value, Instance) and value.layer
    else tuple(as_size(it, item) for item in value)
    if isinstance(value, (tuple, list))
    else _argument_size(it, owner.layer or '', name, value)
    for name, value in owner.fields.items()
  }
  return Instance(layer=owner.layer, fields=fields)


def _argument_size(it: Any, layer: str, name: str, value: Value) -> Value:
  """Opaque values become sizes only where the layer takes no flag, no text and no function."""
  from .expressions import as_size

  signature = oracle.signature(layer)
  parameter = signature.parameters.get(name) if signature else None
  default = None if parameter is None else parameter.default
  if isinstance(default, (bool, str, float)) or callable(default) and not isinstance(default, type):
    return value
  if name in (
    'dtype',
    'param_dtype',
    'precision',
    'deterministic',
    'use_running_average',
    'padding',
  ) or name.endswith('_init'):
    return value
  return as_size(it, value)


def _in_sequence(
  it: Any, layers: Value, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  from .calls import call_value

  if not isinstance(layers, (tuple, list)):
    return Unknown('the layers of a Sequential are not a plain list', node.lineno)
  values: tuple[Value, ...] = args
  for layer in layers:
    result = call_value(it, layer, values, kwargs, node, frame)
    kwargs = {}
    values = result if isinstance(result, tuple) else (result,)
  return values[0] if len(values) == 1 else values


def _snapshot(frame: Any) -> dict[str, Value]:
  return {
    name: value
    for name, value in frame.env.items()
    if oracle.is_dim(value) or isinstance(value, (tuple, list, Opaque, Late))
  }


# -- creations ------------------------------------------------------------------------------------


def bind_fields(
  it: Any, source: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> dict[str, Value]:
  """Binds constructor arguments of a repository class to its fields; missing ones take their default."""
  from .expressions import evaluate
  from .frames import Frame

  names = [name for name, field in source.fields.items() if not field.kw_only]
  bound = dict(zip(names, args))
  bound.update(
    {name: value for name, value in kwargs.items() if name in source.fields or name in ('name', 'parent')}
  )
  for name, field in source.fields.items():
    if name in bound:
      continue
    if field.default is None:
      bound[name] = Unknown(f'{source.node.name} is made without {name}', node.lineno)
    elif field.default_factory:
      bound[name] = Opaque('', 'any')
    else:
      bound[name] = evaluate(it, field.default, Frame({}, field.owner.module, field.owner.node))
  return bound


def bind_layer(layer: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> dict[str, Value]:
  """Binds constructor arguments of a Linen layer by name."""
  signature = oracle.signature(layer)
  names = [name for name in signature.parameters if name not in ('self',)] if signature else []
  return {**dict(zip(names, args)), **{name: value for name, value in kwargs.items() if name != '**'}}


def create(
  it: Any,
  kind: str,
  target: str,
  arguments: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...],
  factory: str | None,
  source: Any = None,
) -> Instance:
  """Reports the creation of a module and returns the instance."""
  instance = Instance(source, target if source is None else None, arguments)
  if frame.subject and it.recording:
    instance.creation = report(it, kind, target, arguments, node, frame, partials, factory)
    instance.creation.value = instance
    instance.creation.source = source
  return instance


def report(
  it: Any,
  kind: str,
  target: str,
  arguments: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...] = (),
  factory: str | None = None,
) -> Creation:
  """Writes a creation down; the same place reached again by the same calls is the same creation."""
  chain = tuple(call for call in frame.chain)
  key = (id(node), tuple(id(call) for call in chain))
  name_node = next((keyword.value for keyword in node.keywords if keyword.arg == 'name'), None)
  old = it.record.creations.get(key)
  if old is not None and old.target == target and kind == old.kind:
    old.visits += 1
    old.arguments, old.names = arguments, _snapshot(frame)
    return old
  creation = Creation(
    node,
    kind,
    target,
    arguments,
    frame.node,
    arguments.get('name'),
    name_node,
    frame.path,
    chain,
    factory,
    partials,
    _snapshot(frame),
  )
  it.record.creations[key] = creation
  it.record.order.append(creation)
  return creation


# -- the module interface -----------------------------------------------------------------------


def module_api(
  it: Any,
  owner: Instance,
  name: str,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
) -> Value:
  """Calls `self.param`, `self.variable`, `self.make_rng`, `self.sow` and the like."""
  if name == 'param':
    return _param(it, args, kwargs, node, frame)
  if name == 'variable':
    return _variable(it, args, kwargs, node, frame)
  if name == 'make_rng':
    if frame.subject and it.recording:
      stream = args[0] if args else kwargs.get('name', 'params')
      report(it, 'rng', stream if isinstance(stream, str) else '', {}, node, frame)
    return Array((), 'key')
  if name == 'sow':
    if frame.subject and it.recording:
      collection = args[0] if args else kwargs.get('col')
      report(it, 'sow', collection if isinstance(collection, str) else '', {}, node, frame)
    return False
  if name == 'has_variable' and len(args) == 2 and all(isinstance(arg, str) for arg in args):
    if frame.subject and it.recording:
      report(it, 'has', args[0], {'name': args[1]}, node, frame)
    return Opaque(ast.unparse(node), 'bool')
  if name == 'is_initializing':
    return False
  if name == 'is_mutable_collection' and args == ('params',):
    # The weights may change while a model is initialised, and not in a call.
    return False
  if name == 'is_mutable_collection' and args == ('batch_stats',):
    if frame.subject and it.recording:
      report(it, 'mutable', 'batch_stats', {}, node, frame)
    return Late(frozenset(), ast.unparse(node))
  if frame.subject and it.recording:
    it.record.refusals.append((node.lineno, _REFUSED.get(name, f'self.{name} is not migrated')))
  if name in ('is_mutable_collection', 'has_variable', 'has_rng'):
    return Opaque(ast.unparse(node), 'bool')
  return Unknown(_REFUSED.get(name, f'self.{name} is not followed'), node.lineno, soft=name == 'get_variable')


def _param(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any) -> Value:
  name = args[0] if args else kwargs.get('name')
  init = args[1] if len(args) > 1 else kwargs.get('init_fn')
  value = _initial_value(it, init, args[2:], node, frame, with_key=True)
  if frame.subject and it.recording:
    creation = report(
      it, 'param', 'params', {'name': name, 'init': init, 'args': tuple(args[2:])}, node, frame
    )
    creation.value = value
  return value


def _variable(
  it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  collection = args[0] if args else kwargs.get('col')
  name = args[1] if len(args) > 1 else kwargs.get('name')
  init = args[2] if len(args) > 2 else kwargs.get('init_fn')
  value = _initial_value(it, init, args[3:], node, frame, with_key=False)
  creation = None
  if frame.subject and it.recording:
    creation = report(
      it,
      'variable',
      collection if isinstance(collection, str) else '',
      {'name': name, 'init': init},
      node,
      frame,
    )
    creation.value = value
  return VariableRef(creation, value)


def _initial_value(
  it: Any, init: Value, args: tuple[Value, ...], node: ast.Call, frame: Any, with_key: bool
) -> Value:
  from .calls import call_value

  if isinstance(init, Unknown) or init is None:
    return init if init is not None else Unknown('no initializer is given', node.lineno)
  if isinstance(init, Closure):
    inputs = ((Array((), 'key'),) if with_key else ()) + tuple(args)
    return call_value(it, init, inputs, {}, node, frame)
  if isinstance(init, External) and not with_key:
    return call_value(it, init, tuple(args), {}, node, frame)
  array = parameter_shape(tuple(_sizes(it, arg) for arg in args))
  if array is not None:
    return array
  if isinstance(init, Opaque):
    return first_unknown(args) or Unknown(
      f'the shape given to {init.source or "the initializer"} is not known', node.lineno
    )
  if with_key:
    return call_value(it, init, (Array((), 'key'), *args), {}, node, frame)
  return call_value(it, init, tuple(args), {}, node, frame)


def _sizes(it: Any, value: Value) -> Value:
  from .expressions import as_size

  if isinstance(value, (tuple, list)):
    return tuple(as_size(it, item) for item in value)
  return as_size(it, value)


def instances_in(value: Value) -> list[Instance]:
  """Returns the module instances in a value, looking into containers."""
  if isinstance(value, Instance):
    return [value]
  if isinstance(value, (tuple, list, Repeated)):
    return [found for item in elements(value) for found in instances_in(item)]
  if isinstance(value, dict):
    return [found for item in value.values() for found in instances_in(item)]
  return []
