"""Shapes through Linen layers: builds the real layer and asks the oracle."""

from __future__ import annotations

from typing import Any

from . import oracle
from .values import Alternatives, Array, Closure, Instance, Late, Opaque, Unknown, Value

# Their output has the shape of the input, whatever their arguments are.
_KEEPING = frozenset(
  f'flax.linen.{name}'
  for name in ('BatchNorm', 'LayerNorm', 'RMSNorm', 'GroupNorm', 'InstanceNorm', 'Dropout', 'PReLU')
)
_STREAMS = ('params', 'dropout', 'default', 'noise', 'carry')


def layer_output(
  instance: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], method: str = '__call__'
) -> Value:
  """Returns the abstract output of a Linen layer.

  Raises:
    OracleFailure: the layer refuses the input, or a needed argument is not known.
  """
  if instance.layer in _KEEPING and method == '__call__' and args and isinstance(args[0], Array):
    if args[0].shape and args[0].dtype == 'float32':
      return Array(args[0].shape, args[0].dtype)
  arguments = constructor_arguments(instance)
  streams = (
    *_STREAMS,
    *(name for key, name in arguments.items() if key == 'rng_collection' and isinstance(name, str)),
  )
  call_kwargs = {name: _flag(value) for name, value in kwargs.items()}
  call_args = tuple(_flag(value) for value in args)
  nested = [value for value in _values(arguments) if isinstance(value, Instance)]
  if nested:
    return _nested_output(instance, call_args, call_kwargs, method)

  def run(values: Any) -> Any:
    constructor, positional, keywords = values
    module = oracle.find(instance.layer or '')(**_with_zero_initializers(instance.layer or '', constructor))
    key = oracle.find('jax.random.key')(0)
    call = getattr(type(module), method)
    return module.init_with_output(dict.fromkeys(streams, key), *positional, method=call, **keywords)[0]

  return oracle.trace(run, (arguments, call_args, call_kwargs), key=('layer', instance.layer, method))


def _nested_output(
  instance: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], method: str
) -> Value:
  """As `layer_output` for a layer that holds other layers (RNN): they are built inside the trace."""
  plain, nested = _split(constructor_arguments(instance))

  def run(values: Any) -> Any:
    constructor, positional, keywords = values
    module = _build(instance.layer or '', constructor, nested)
    key = oracle.find('jax.random.key')(0)
    call = getattr(type(module), method)
    return module.init_with_output(dict.fromkeys(_STREAMS, key), *positional, method=call, **keywords)[0]

  return oracle.trace(run, (plain, args, kwargs))


def _split(arguments: dict[str, Value]) -> tuple[dict[str, Value], dict[str, Instance]]:
  nested = {name: value for name, value in arguments.items() if isinstance(value, Instance)}
  for name, value in nested.items():
    if value.layer is None:
      raise oracle.OracleFailure(f'argument {name} is a module of the repository')
  return {name: value for name, value in arguments.items() if name not in nested}, nested


def _build(layer: str, constructor: dict[str, Any], nested: dict[str, Instance]) -> Any:
  modules = {}
  for name, inner in nested.items():
    plain, deeper = _split(constructor_arguments(inner))
    modules[name] = _build(
      inner.layer or '', {key: oracle.to_object(value) for key, value in plain.items()}, deeper
    )
  return oracle.find(layer)(**_with_zero_initializers(layer, constructor), **modules)


def _values(arguments: dict[str, Value]) -> Any:
  for value in arguments.values():
    yield from value if isinstance(value, (tuple, list)) else (value,)


def constructor_arguments(instance: Instance) -> dict[str, Value]:
  """Returns the arguments that matter for shapes; what only matters for numbers is left out.

  Raises:
    OracleFailure: an argument that decides shapes is not known.
  """
  kept: dict[str, Value] = {}
  for name, value in instance.fields.items():
    if name in ('name', 'parent') or name.endswith('_init') or name.endswith('_cls') or name == 'precision':
      continue
    if name in ('rate', 'dropout_rate', 'epsilon', 'momentum', 'negative_slope_init', 'scale'):
      if name == 'rate':
        kept[name] = 0.1
      continue
    if isinstance(value, (Late, Closure)) or (
      isinstance(value, Opaque) and value.kind in ('dtype', 'callable', 'float')
    ):
      if isinstance(value, Late):
        kept[name] = True
      continue
    if name in ('dtype', 'param_dtype') and isinstance(value, (Opaque, Unknown, Alternatives)):
      continue
    if isinstance(value, Unknown):
      raise oracle.OracleFailure(f'argument {name}: {value.reason}')
    if isinstance(value, Opaque) and _is_flag(instance.layer or '', name):
      kept[name] = True if name in ('deterministic', 'use_running_average') else bool(value.default)
      continue
    kept[name] = value
  return kept


def _is_flag(layer: str, name: str) -> bool:
  signature = oracle.signature(layer)
  parameter = signature.parameters.get(name) if signature else None
  return parameter is not None and (
    isinstance(parameter.default, bool) or name in ('deterministic', 'use_running_average')
  )


def _flag(value: Value) -> Value:
  if isinstance(value, Late):
    return None if value.optional else True
  if isinstance(value, Opaque) and value.kind in ('bool', 'any') and value.default is None:
    return True if value.kind == 'bool' else value
  if isinstance(value, Unknown):
    if value.soft:
      return None
    raise oracle.OracleFailure(value.reason)
  return value


def _with_zero_initializers(layer: str, constructor: dict[str, Any]) -> dict[str, Any]:
  """Variance-scaling initializers want concrete sizes; zeros do not."""
  signature = oracle.signature(layer)
  zeros = oracle.find('flax.linen.initializers.zeros')
  initializers = {
    name: zeros
    for name in (signature.parameters if signature else ())
    if name.endswith('_init') and name not in ('carry_init', 'negative_slope_init')
  }
  return {**initializers, **constructor}


def parameter_shape(arguments: tuple[Value, ...]) -> Array | None:
  """Returns the array a standard initializer makes from `(shape, dtype?)`, or None if that is no shape."""
  if not arguments:
    return None
  shape = arguments[0]
  if oracle.is_dim(shape):
    shape = (shape,)
  if not isinstance(shape, (tuple, list)) or not all(oracle.is_dim(dim) for dim in shape):
    return None
  return Array(tuple(shape))
