"""Calls: functions of the repository, modules, methods of arrays and containers, and library functions."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable
from typing import Any

from rewrites.bridge import AS_LINEN

from . import builtin_calls, oracle
from .expressions import evaluate, expression_symbol
from .frames import MAX_DEPTH, MAX_STEPS, Budget, Frame
from .joins import join
from .library import array_method, library_call
from .lifting import lifted
from .loops import makes_modules
from .modules import _API, bind_fields, bind_layer, call_instance, create, module_api
from .plain_functions import only_computes
from .transforms import call_mapped, transformed
from .values import (
  Alternatives,
  Array,
  Bound,
  ClassRef,
  Closure,
  External,
  Instance,
  Late,
  Mapped,
  Opaque,
  Partial,
  Repeated,
  Structure,
  Unknown,
  Value,
  VariableRef,
  contains,
  first_unknown,
)

_IDENTITY_TRANSFORMS = (
  'jax.jit',
  'jax.checkpoint',
  'jax.remat',
  'functools.wraps',
  'functools.cache',
  'functools.lru_cache',
  'jax.named_call',
)
_LIFTED = (
  'scan',
  'vmap',
  'remat',
  'checkpoint',
  'jit',
  'while_loop',
  'cond',
  'switch',
  'map_variables',
  'grad',
  'vjp',
  'jvp',
  'custom_vjp',
  'add_metadata_axis',
  'remat_scan',
  'value_and_grad',
  'transforms',
  'fold_rngs',
  'share_scope',
  'with_partitioning',
  'with_logical_partitioning',
  'scan_with_axes',
  'partitioning',
  'intercept_methods',
  'apply',
  'init',
)


def evaluate_call(it: Any, node: ast.Call, frame: Any) -> Value:
  """Returns the abstract value of a call expression."""
  it.step()
  if isinstance(node.func, ast.Attribute) and _is_super(node.func.value):
    return _super_call(it, node, frame)
  function = evaluate(it, node.func, frame)
  args, kwargs = arguments(it, node, frame)
  return call_value(it, function, args, kwargs, node, frame)


def arguments(it: Any, node: ast.Call, frame: Any) -> tuple[tuple[Value, ...], dict[str, Value]]:
  """Evaluates positional and keyword arguments, expanding `*` and `**` where they are known."""
  args: list[Value] = []
  for item in node.args:
    value = evaluate(it, item.value if isinstance(item, ast.Starred) else item, frame)
    if not isinstance(item, ast.Starred):
      args.append(value)
    elif isinstance(value, (tuple, list)):
      args.extend(value)
    else:
      args.append(Unknown(f'{ast.unparse(item)} has an unknown number of items', node.lineno))
  kwargs: dict[str, Value] = {}
  for keyword in node.keywords:
    value = evaluate(it, keyword.value, frame)
    if keyword.arg is not None:
      kwargs[keyword.arg] = value
    elif isinstance(value, dict):
      kwargs.update({str(key): item for key, item in value.items()})
    else:
      kwargs['**'] = value
  return tuple(args), kwargs


def call_value(
  it: Any,
  function: Value,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...] = (),
  factory: str | None = None,
) -> Value:
  """Calls a value."""
  if isinstance(function, Unknown):
    return function
  if isinstance(function, Partial):
    merged = {**function.kwargs, **kwargs}
    return call_value(
      it,
      function.function,
      (*function.args, *args),
      merged,
      node,
      frame,
      (*partials, function),
      factory or _factory(node) or 'partial',
    )
  if isinstance(function, External):
    return _external(it, function.name, args, kwargs, node, frame, partials, factory)
  if isinstance(function, ClassRef):
    return _class(it, function, args, kwargs, node, frame, partials, factory)
  if isinstance(function, Closure):
    result = call_closure(it, function, args, kwargs, node, frame)
    if isinstance(result, Unknown) and only_computes(it, function) and not _at_call((*args, *kwargs.values())):
      return Opaque(ast.unparse(node))  # what it returns is known where the module is made
    if frame.subject and oracle.is_symbolic(result) and not _at_call((*args, *kwargs.values())):
      return _size_of_call(it, result, node)
    return result
  if isinstance(function, Instance):
    return call_instance(it, function, args, kwargs, node, frame)
  if isinstance(function, Mapped):
    return call_mapped(function, args, node, _caller(it, node, frame))
  if isinstance(function, Bound):
    return _bound(it, function, args, kwargs, node, frame)
  if isinstance(function, Alternatives):
    return _alternatives(it, function, args, kwargs, node, frame)
  if isinstance(function, Opaque):
    return _opaque(it, function, args, kwargs, node)
  if isinstance(function, Late):
    return Unknown(f'{ast.unparse(node.func)} is a function given at the call', node.lineno)
  return Unknown(f'{ast.unparse(node.func)} is not callable here', node.lineno)


def _size_of_call(it: Any, size: Value, node: ast.Call) -> Value:
  """A size that only the body of a function can express is written as the call of the function."""
  infos = [it.table.info(name) for name in re.findall(r'[A-Za-z]\w*', str(size))]
  unspoken = any(info is not None and info.kind == 'opaque' for info in infos)
  return expression_symbol(it, node) if unspoken else size


def _at_call(values: tuple[Value, ...]) -> bool:
  return contains(values, (Array, Late, Unknown, Instance, VariableRef))


def _caller(it: Any, node: ast.Call, frame: Any) -> Callable[[Value, tuple[Value, ...]], Value]:
  return lambda function, args: call_value(it, function, args, {}, node, frame)


def _alternatives(
  it: Any,
  function: Alternatives,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
) -> Value:
  options = [option for option in function.options if option is not None]
  # A module that does not take these arguments is not the one at hand.
  options = [option for option in options if _takes(option, args, kwargs)] or options
  results = [call_value(it, option, args, kwargs, node, frame) for option in options]
  followed = [result for result in results if not isinstance(result, Unknown)]
  if (
    followed
    and len(followed) < len(results)
    and not any(isinstance(option, Instance) for option in function.options)
  ):
    it.note(
      node.lineno,
      f'some choices of {ast.unparse(node.func)} could not be followed and were taken to '
      'give the shape of the others',
    )
    results = followed
  if (
    all(isinstance(result, Array) for result in results)
    and len({str(result.shape) for result in results}) > 1
    and not _of_one_width(results)
  ):
    return Alternatives(tuple(results))
  value = results[0]
  for other in results[1:]:
    value = join(value, other, None, it.table, 'either')
  return value


def _of_one_width(arrays: list[Value]) -> bool:
  """Tells whether arrays have one rank and one number of features: then one array stands for all of them."""
  first = arrays[0].shape
  return bool(first) and all(
    len(array.shape) == len(first) and oracle.same(array.shape[-1], first[-1]) is True for array in arrays
  )


def _takes(option: Value, args: tuple[Value, ...], kwargs: dict[str, Value]) -> bool:
  """Tells whether a module may be called with these arguments."""
  if not isinstance(option, Instance):
    return True
  if option.source is None:
    from rewrites.registry import layer_for

    record = layer_for(option.layer or '')
    return record is None or record.star_argument is not None or len(args) <= len(record.call)
  method = option.source.methods.get('__call__')
  if method is None or '**' in kwargs or contains(args, Repeated):
    return True
  parameters = method.node.args
  places = [item.arg for item in parameters.args[1:]]
  required = places[: len(places) - len(parameters.defaults)]
  required += [item.arg for item, default in zip(parameters.kwonlyargs, parameters.kw_defaults) if default is None]
  names = {*places, *(item.arg for item in parameters.kwonlyargs)}
  return (
    (parameters.vararg is not None or len(args) <= len(places))
    and (parameters.kwarg is not None or set(kwargs) <= names)
    and set(required) <= {*places[: len(args)], *kwargs}
  )


def _opaque(
  it: Any, function: Opaque, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  if function.kind == 'module':
    return Unknown(f'the module in {function.source} is not known', node.lineno)
  array = next((arg for arg in args if isinstance(arg, Array) and arg.dtype != 'key'), None)
  if array is not None and re.search(r'\)\.\w+$', function.source or ''):
    # An activation keeps the shape; a method of an object made here may do anything.
    return Unknown(f'{function.source} could not be followed', node.lineno)
  if array is not None:
    it.note(node.lineno, f'{function.source or "a function"} was taken to keep the shape of its argument')
    return Array(array.shape, array.dtype)
  unknown = first_unknown((*args, *kwargs.values()))
  if unknown is not None:
    return unknown
  if contains((*args, *kwargs.values()), Late):
    return Late(frozenset(), ast.unparse(node))
  return Opaque(ast.unparse(node), 'any')


# -- classes and functions of the repository -----------------------------------------------------


def _class(
  it: Any,
  function: ClassRef,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...],
  factory: str | None,
) -> Value:
  source = function.source
  if not source.is_linen:
    if source.is_dataclass and contains((*args, *kwargs.values()), (Array, Unknown, Structure)):
      given = {**dict(zip(source.fields, args)), **kwargs}
      return Structure(source, {name: given.get(name) for name in source.fields})
    return Opaque(ast.unparse(node), 'object', of=source.name)
  if '**' in kwargs and it.recording and frame.subject:
    it.record.notes.append(
      (node.lineno, f'{source.node.name}(**...) was taken to give no argument that changes sizes')
    )
  fields = bind_fields(it, source, args, kwargs, node)
  made = create(
    it, 'class', source.name, fields, node, frame, partials, factory or _factory(node, source.name), source
  )
  if made.creation is not None:
    made.creation.prefix = function.prefix
    made.creation.lift = function.lift
  made.lift = function.lift
  return made


def _factory(node: ast.Call, made: str = '') -> str | None:
  """Returns how the class is reached if not by its plain name; a nested class has one."""
  if isinstance(node.func, ast.Attribute) and made.endswith(f'.{node.func.attr}'):
    return None
  if (
    isinstance(node.func, ast.Attribute)
    and isinstance(node.func.value, ast.Name)
    and node.func.value.id == 'self'
  ):
    return f'field:{node.func.attr}'
  return None


def call_closure(
  it: Any, function: Closure, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  """Interprets a function of the repository in place."""
  if getattr(function.node, 'name', '') == AS_LINEN.name and function.module.name.endswith('nnx_helpers'):
    return Unknown(f'what {AS_LINEN.name} makes of an NNX class is not followed', node.lineno)
  if frame.depth > MAX_DEPTH:
    it.not_general()
    return Unknown('calls are nested too deeply', node.lineno)
  if it.active.count(_identity(function)) > 1:
    it.not_general()
    return Unknown(f'{getattr(function.node, "name", "lambda")} calls itself', node.lineno)
  env = dict(function.env or {})
  problem = bind(it, function, args, kwargs, env, node)
  if problem is not None:
    return Unknown(problem, node.lineno)
  subject = frame.subject if function.self_value is None else (function.self_value is it.subject)
  inner = Frame(
    env,
    function.module,
    function.node,
    function.self_value or (frame.self_value if function.local else None),
    function.owner,
    subject,
    path=(),
    chain=(*frame.chain, node),
    depth=frame.depth + 1,
  )
  if isinstance(function.node, ast.Lambda):
    home, it.table.home = it.table.home, False
    try:
      return evaluate(it, function.node.body, inner)
    finally:
      it.table.home = home
  if is_generator(function.node):
    return Unknown(f'{function.node.name} is a generator', node.lineno)
  if function.node in it.too_large:
    return _too_large(it, function, node, frame)
  return _followed(it, function, inner, node, frame)


def _followed(it: Any, function: Closure, inner: Frame, node: ast.Call, frame: Any) -> Value:
  """Interprets the body; one function may not use up the steps of the whole class."""
  outer, recording = it.floor, it.recording
  it.floor = max(outer, it.steps - MAX_STEPS)
  it.active.append(_identity(function))
  try:
    return it.run(inner, function.node.body)
  except Budget:
    if it.steps < outer:
      raise
    it.recording = recording
    it.too_large.add(function.node)
    return _too_large(it, function, node, frame)
  finally:
    it.active.pop()
    it.floor = outer


def _too_large(it: Any, function: Closure, node: ast.Call, frame: Any) -> Unknown:
  it.not_general()
  name = getattr(function.node, 'name', 'a function')
  body = function.node.body
  if (
    frame.subject
    and it.recording
    and makes_modules(body if isinstance(body, list) else [ast.copy_location(ast.Expr(body), body)])
  ):
    it.record.refusals.append((node.lineno, f'{name} is too large to follow'))
  return Unknown(f'{name} is too large to follow', node.lineno)


@functools.cache
def is_generator(node: ast.FunctionDef) -> bool:
  """Tells whether a function yields."""
  return any(isinstance(child, (ast.Yield, ast.YieldFrom)) for child in ast.walk(node))


def _identity(function: Closure) -> str:
  return f'{id(function.node)}/{id(function.self_value)}'


def bind(
  it: Any,
  function: Closure,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  env: dict[str, Value],
  node: ast.Call,
) -> str | None:
  """Binds arguments to parameters; returns what is wrong, or None."""
  parameters = function.node.args
  names = [parameter.arg for parameter in (*parameters.posonlyargs, *parameters.args)]
  if (
    function.self_value is not None
    and names
    and not isinstance(function.node, ast.Lambda)
    and not function.local
  ):
    env[names[0]] = function.self_value
    names = names[1:]
  for name, value in zip(names, args):
    env[name] = value
  if len(args) > len(names):
    if parameters.vararg is None:
      return f'too many arguments for {getattr(function.node, "name", "a lambda")}'
    env[parameters.vararg.arg] = tuple(args[len(names) :])
  elif parameters.vararg is not None:
    env[parameters.vararg.arg] = ()
  given = set(names[: len(args)])
  allowed = [*names, *(parameter.arg for parameter in parameters.kwonlyargs)]
  rest = {name: value for name, value in kwargs.items() if name not in allowed}
  env.update({name: value for name, value in kwargs.items() if name in allowed})
  given |= kwargs.keys()
  if parameters.kwarg is not None:
    env[parameters.kwarg.arg] = rest
  _defaults(it, function, names, given, env)
  missing = [name for name in allowed if name not in given and name not in env]
  for name in missing:
    env[name] = Unknown(f'argument {name} is not given', node.lineno)
  return None


def _defaults(it: Any, function: Closure, names: list[str], given: set[str], env: dict[str, Value]) -> None:
  parameters = function.node.args
  pairs = list(zip(reversed([*parameters.posonlyargs, *parameters.args]), reversed(parameters.defaults)))
  pairs += [
    (parameter, default)
    for parameter, default in zip(parameters.kwonlyargs, parameters.kw_defaults)
    if default is not None
  ]
  for parameter, default in pairs:
    if parameter.arg in given:
      continue
    frame = Frame(dict(function.env or {}), function.module, function.node)
    env[parameter.arg] = evaluate(it, default, frame)


def _is_super(node: ast.expr) -> bool:
  return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'super'


def _super_call(it: Any, node: ast.Call, frame: Any) -> Value:
  args, kwargs = arguments(it, node, frame)
  owner, instance = frame.owner, frame.self_value
  name = node.func.attr  # type: ignore[attr-defined]
  if owner is None or instance is None or instance.source is None:
    return Unknown('super() outside a module', node.lineno)
  mro = list(instance.source.mro)
  after = mro[mro.index(owner) + 1 :] if owner in mro else []
  for source in after:
    if name in source.own_methods:
      method = source.own_methods[name]
      return call_closure(
        it, Closure(method.node, source.module, None, instance, source), args, kwargs, node, frame
      )
  if name in ('setup', '__post_init__'):
    return None
  return Unknown(f'super().{name} is not defined in the repository', node.lineno)


# -- bound methods ------------------------------------------------------------------------------


def _bound(
  it: Any, function: Bound, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  owner, name = function.owner, function.name
  if isinstance(owner, Instance):
    if owner.source is not None and name in _API:
      return module_api(it, owner, name, args, kwargs, node, frame)
    return call_instance(it, owner, args, kwargs, node, frame, name)
  if isinstance(owner, Array):
    return array_method(it, owner, name, args, kwargs, node)
  if isinstance(owner, VariableRef):
    return Unknown(f'.{name} of a variable is not followed', node.lineno)
  if isinstance(owner, Bound):
    return _chained(it, owner, name, args, kwargs, node)
  return builtin_calls.container_method(it, owner, name, args, kwargs, node)


def _chained(
  it: Any, owner: Bound, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  """`x.at[...].set(v)` keeps the shape of x."""
  inner = owner.owner
  while isinstance(inner, Bound):
    inner = inner.owner
  return inner if isinstance(inner, Array) else Unknown(f'.{name} is not followed', node.lineno)


# -- library functions ---------------------------------------------------------------------------


def _external(
  it: Any,
  name: str,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...],
  factory: str | None,
) -> Value:
  if name == 'functools.partial':
    if not args:
      return Unknown('partial without a function', node.lineno)
    return Partial(args[0], tuple(args[1:]), kwargs, node)
  if name.startswith('builtins.'):
    return builtin_calls.builtin(it, name.removeprefix('builtins.'), args, kwargs, node, frame)
  if name.startswith('flax.linen'):
    return _linen(it, name, args, kwargs, node, frame, partials, factory)
  if name in _IDENTITY_TRANSFORMS and args:
    return args[0]
  found = transformed(it, name, args, kwargs, node, _caller(it, node, frame))
  if found is not None:
    return found
  return library_call(it, name, args, kwargs, node)


def _linen(
  it: Any,
  name: str,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
  frame: Any,
  partials: tuple[Any, ...],
  factory: str | None,
) -> Value:
  short = name.removeprefix('flax.linen.').split('.')[0]
  if name.rsplit('.', 1)[-1] in ('remat', 'checkpoint') and args and isinstance(args[0], ClassRef):
    return ClassRef(args[0].source, 'Checkpoint' + args[0].prefix)
  if short in ('vmap', 'scan'):
    found = lifted(short, args, kwargs, node)
    if isinstance(found, ClassRef):
      return found
    if frame.subject and it.recording:
      it.record.refusals.append((node.lineno, found))
    return Unknown(found, node.lineno)
  if short in _LIFTED:
    if frame.subject and it.recording:
      it.record.refusals.append((node.lineno, f'nn.{short} is not migrated yet'))
    return Unknown(f'nn.{short} is not migrated yet', node.lineno)
  if short in ('compact', 'nowrap', 'jit') and args:
    return args[0]
  if short == 'merge_param':
    return _merge_param(args, node)
  if oracle.is_linen_class(name):
    return create(
      it, 'layer', name, bind_layer(name, args, kwargs), node, frame, partials, factory or _factory(node)
    )
  return library_call(it, name, args, kwargs, node)


def _merge_param(args: tuple[Value, ...], node: ast.Call) -> Value:
  values = [value for value in args[1:] if value is not None]
  late = frozenset().union(*(value.names for value in values if isinstance(value, Late)))
  if late:
    return Late(late, ast.unparse(node))
  return values[-1] if values else Unknown('merge_param of nothing', node.lineno)
