"""Helpers that let code which still is Linen use classes that are NNX."""

from __future__ import annotations

from rewrites.record import Helper

_AS_LINEN = '''
@functools.cache
def _linen_face(nnx_class, fields, outside, collections, sizes):
  sizes, collections = dict(sizes), dict(collections)
  parameters = dict(inspect.signature(nnx_class.__init__).parameters)
  names = fields or [name for name in parameters if name not in ('self', 'rngs', *sizes)]
  sizes = {name: (None, None) if place is None else place for name, place in sizes.items()}
  at_call = dict(inspect.signature(nnx_class.__call__).parameters) if fields else {}
  late = {name: at_call[name] for name in names if name not in parameters}

  def build(face, method, args, kwargs, streams):
    given = {name: getattr(face, name) for name in names if name not in late}
    found, unknown = _sizes(nnx_class, sizes, method, args, kwargs)
    if unknown:
      outside = jax.tree.map(_alone, given, is_leaf=lambda value: isinstance(value, nn.Module))
      make = lambda **more: nnx_class(**outside, **found, **more, rngs=nnx.Rngs(0))
      found |= _sizes_of_weights(make, unknown, face.variables) if face.variables.get('params') else _sizes_at_layers(
        make, unknown, lambda module: getattr(module, method)(*args, **kwargs))
    return nnx_class(**given, **found, rngs=nnx.Rngs(**streams))

  def run(face, method, args, kwargs):
    if method == '__call__':
      kwargs = {**{name: getattr(face, name) for name in late}, **kwargs}
    streams = {name: face.make_rng(name) for name in face.scope.rngs}
    streams.setdefault('default', streams.get('params', jax.random.key(0)))
    module = build(face, method, args, kwargs, streams)
    _open_caches(face, module)
    _read(face, module, collections)
    if face.is_initializing():
      _write(face, module, collections)
      with _first_calls(module):
        result = getattr(module, method)(*args, **kwargs)
    else:
      result = getattr(module, method)(*args, **kwargs)
    # As in Linen, initialization leaves batch statistics as they are.
    _write(face, module, collections, ('batch_stats',) if face.is_initializing() else ())
    return result

  def as_method(function):
    @functools.wraps(function)
    def method(self, *args, **kwargs):
      return run(self, function.__name__, args, kwargs)
    return method

  namespace = {key: getattr(nnx_class, key) for key in ('__module__', '__qualname__', '__doc__')}
  namespace['__annotations__'] = {name: typing.Any for name in names}
  for name in names:
    parameter = late.get(name) or parameters[name]
    keyword = parameter.kind is parameter.KEYWORD_ONLY and name not in late
    default = {} if parameter.default is parameter.empty else {'default': parameter.default}
    namespace[name] = dataclasses.field(**default, kw_only=keyword)
  for name in dir(nnx_class):
    found = inspect.getattr_static(nnx_class, name)
    if name in namespace or (hasattr(nnx.Module, name) or name.startswith('__')) and name != '__call__':
      continue
    namespace[name] = as_method(found) if inspect.isfunction(found) and name not in outside else found
  return type(nnx_class.__name__, (nn.Module,), namespace)


def _sizes(nnx_class, sizes, method, args, kwargs):
  """Reads the sizes off the arguments of a call: those found, and the names of those that are not there."""
  signature = inspect.signature(getattr(nnx_class, method))
  arguments = signature.bind_partial(None, *args, **kwargs).arguments
  found, unknown = {}, []
  for name, (argument, axis) in sizes.items():
    if argument is None:
      unknown.append(name)
      continue
    where, _, wanted = argument.rpartition('.')
    value = arguments.get(wanted)
    if value is not None:
      found[name] = jnp.shape(value) if axis is None else jnp.shape(value)[axis]
    elif (where or '__call__') == method and wanted in signature.parameters:
      found[name] = None
    else:
      unknown.append(name)
  return found, unknown


def _sizes_of_weights(build, names, variables):
  """Finds sizes that no argument tells: the axes of the weights that change with them."""
  weights = {path: jnp.shape(value) for path, value in nnx.traversals.flatten_mapping(variables.get('params', {})).items()}
  found = {}
  for name in names:
    axes = _axes_of(build, names, name)
    places = [weights[path][axis] for path, axis in axes if path in weights] if axes else [None]
    if not places:
      raise ValueError(f'{name} is not known: call the method whose input has this size first, with init')
    found[name] = places[0]
  return found


def _axes_of(build, names, name):
  """Returns the places (path, axis) in the weights that have the size `name`."""
  probes = (5040, 10080)
  first, second = ({tuple(map(str, path)): leaf.shape for path, leaf in nnx.to_flat_state(nnx.state(nnx.eval_shape(
      lambda: build(**{**dict.fromkeys(names, probes[0]), name: probe})), nnx.Param))} for probe in probes)
  return [(path, axis) for path, shape in first.items() for axis, (a, b) in enumerate(zip(shape, second[path]))
          if (a, b) == probes]


class _Reached(Exception):
  """A call has come to a layer whose input size is wanted."""


def _sizes_at_layers(build, names, call):
  """Finds sizes that no argument tells and no weights are there for: the inputs that the call gives to the layers."""
  # A size that is nowhere belongs to a module that this model does not have.
  found = {name: None for name in names if not _axes_of(build, names, name)}
  while len(found) < len(names):
    rest = [name for name in names if name not in found]
    make = lambda **more: build(**found, **more)
    wanted = {path[:-1]: name for name in rest for path, axis in _axes_of(make, rest, name)}

    def run():
      module = make(**dict.fromkeys(rest, 5040))
      for path, name in wanted.items():
        _watch(module, path, name)
      with _first_calls(module):
        return call(module)

    try:
      nnx.eval_shape(run)
    except _Reached as reached:
      found[reached.args[0]] = reached.args[1]
    else:
      raise ValueError(f'{", ".join(rest)} is not known: this call does not come to the layers that have this size')
  return found


def _alone(value):
  """A Linen module that was given as an argument, made to run without the variables of the model."""
  if not isinstance(value, nn.Module):
    return value
  alone, key = value.clone(parent=None, name=None), jax.random.key(0)
  return lambda *args, **kwargs: alone.init_with_output({'params': key, 'dropout': key}, *args, **kwargs)[0]


def _watch(module, path, name):
  """Puts a stand-in at the path of a layer that reports the last axis of its first input."""
  def reached(inputs, *args, **kwargs):
    raise _Reached(name, jnp.shape(inputs)[-1])

  _put(module, path, reached)


def _put(module, path, value):
  """Sets what stands at a path in a module, without the checks of a module attribute."""
  *above, last = path
  for key in above:
    module = module[int(key)] if key.isdigit() else getattr(module, key)
  if last.isdigit():
    module[int(last)] = value
  else:
    object.__setattr__(module, last, value)


def _caching(module):
  """Yields path and layer of everything that keeps a cache once `init_cache` has told its size."""
  for path, layer in nnx.iter_modules(module):
    if hasattr(layer, 'init_cache'):
      yield tuple(map(str, path)), layer


def _open_caches(face, module):
  """Gives the layers the caches that the variables have."""
  stored = nnx.traversals.flatten_mapping(face.variables.get('cache', {}))
  for path, layer in _caching(module):
    if (*path, 'cached_key') in stored:
      key = stored[(*path, 'cached_key')]
      layer.init_cache((*key.shape[:-2], 1), key.dtype)


@contextlib.contextmanager
def _first_calls(module):
  """While variables are made, layers that decode attend to all inputs at once, which also gives the size of the cache."""
  layers = [(path, layer) for path, layer in _caching(module) if getattr(layer, 'decode', False)]

  def first(layer):
    def call(inputs, *args, **kwargs):
      layer.init_cache(jnp.shape(inputs), layer.dtype or jnp.result_type(inputs, layer.param_dtype))
      return layer(inputs, *args, **{**kwargs, 'decode': False})
    return call

  for path, layer in layers:
    _put(module, path, first(layer))
  try:
    yield
  finally:
    for path, layer in layers:
      _put(module, path, layer)


def _leaves(module, collections):
  for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.RngState))):
    kind = type(leaf)
    collection = collections.get(kind.__name__) or nnx.variable_name_from_type(kind, allow_register=True)
    yield path, (collection, *map(str, path)), leaf


def _write(face, module, collections, kept=()):
  """Stores the variables of the NNX module where they may change."""
  trees = {}
  for _, (collection, *names), leaf in _leaves(module, collections):
    if face.is_mutable_collection(collection) and collection not in kept:
      tree = trees.setdefault(collection, {})
      for name in names[:-1]:
        tree = tree.setdefault(name, {})
      tree[names[-1]] = nnx.bridge.ToLinen.metadata_fn(leaf)
  for collection, tree in trees.items():
    for name, value in tree.items():
      face.put_variable(collection, name, value)


def _read(face, module, collections):
  """Puts the variables into the NNX module; one that is missing is an error, as in Linen."""
  boxed = lambda value: isinstance(value, nn.meta.AxisMetadata)
  stored = jax.tree.map(lambda value: value.unbox() if boxed(value) else value, face.variables, is_leaf=boxed)
  stored = nnx.traversals.flatten_mapping(stored)
  found = []
  for path, place, leaf in _leaves(module, collections):
    if place in stored:
      found.append((path, leaf.replace(stored[place])))
    elif not face.is_mutable_collection(place[0]):
      raise ValueError(f'the variables have no {"/".join(place)} for {type(module).__name__}')
  nnx.update(module, nnx.from_flat_state(found))


def as_linen(nnx_class, *, fields=None, outside=(), collections=None, **sizes):
  """Returns a Linen class that computes what an NNX class computes.

  It is used as the Linen class was from which `nnx_class` was made: as a submodule of Linen modules, with init and
  apply, `mutable` and `rngs`.  Its variables have the names of the NNX module.

  Args:
    nnx_class: the NNX class, or a partial of it.
    fields: all fields in the order of Linen, if some of them are arguments of the call now.
    outside: methods that call `init` or `apply` of a Linen module themselves.
    collections: collections of variable classes made for this repository, by class name.
    **sizes: constructor arguments that are read off the input: (argument of the call, axis or None for the
      whole shape); 'method.argument' if the method is not `__call__`; None if no argument tells the size.
  """
  if isinstance(nnx_class, functools.partial):
    face = as_linen(nnx_class.func, fields=fields, outside=outside, collections=collections, **sizes)
    return functools.partial(face, *nnx_class.args, **nnx_class.keywords)
  collections, sizes = tuple((collections or {}).items()), tuple(sizes.items())
  return _linen_face(nnx_class, tuple(fields) if fields else None, tuple(outside), collections, sizes)
'''

AS_LINEN = Helper(
  'as_linen',
  _AS_LINEN,
  (
    'import contextlib',
    'import dataclasses',
    'import functools',
    'import inspect',
    'import typing',
    'from flax import linen as nn',
    'from flax import nnx',
    'import jax',
    'import jax.numpy as jnp',
  ),
)
