"""Notes every outermost `init` and `apply` of the repository's Linen modules: what was made, and how it was called.

One line of JSON per distinct call goes to a file of the process.  No weights and no data are written, and no failure
in here reaches the code that is recorded.
"""
from __future__ import annotations

import dataclasses
import functools
import importlib.abc
import importlib.util
import inspect
import json
import os
import sys
import threading
from typing import Any

from linen2nnx_values import (  # type: ignore[import-not-found]
  Unsupported,
  described,
  expression,
  is_array,
)

_LEFT_OUT = ('site-packages', '.venv', 'venv', 'node_modules')


def start(folder: str, root: str) -> None:
  """Waits for Linen to be imported, then watches it."""
  recorder = _Recorder(folder, os.path.realpath(root))
  if 'flax.linen' in sys.modules:
    recorder.watch(sys.modules['flax.linen'])
  else:
    sys.meta_path.insert(0, _Finder(recorder))


class _Finder(importlib.abc.MetaPathFinder):
  """Lets Linen be found as usual, and tells the recorder when it is there."""

  def __init__(self, recorder: _Recorder) -> None:
    self._recorder = recorder

  def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
    if fullname != 'flax.linen':
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(fullname)
    if spec is None or spec.loader is None:
      return spec
    run = spec.loader.exec_module

    def exec_module(module: Any) -> None:
      run(module)
      self._recorder.watch(module)

    spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


class _Recorder:
  """Writes calls to a file in `folder`; `root` is the repository."""

  def __init__(self, folder: str, root: str) -> None:
    self._folder = folder
    self._root = root
    self._known: set[str] = set()
    self._depth = threading.local()

  def watch(self, linen: Any) -> None:
    """Puts itself around `apply` and `init_with_output`, which `init` and `lazy_init` go through."""
    module = linen.Module
    apply, init = module.apply, module.init_with_output

    @functools.wraps(apply)
    def recorded_apply(self_: Any, variables: Any, *args: Any, rngs: Any = None, method: Any = None,
                       mutable: Any = False, **more: Any) -> Any:
      call = {key: value for key, value in more.items() if key != 'capture_intermediates'}
      with self._noted('apply', self_, variables, args, call, rngs, method, mutable):
        return apply(self_, variables, *args, rngs=rngs, method=method, mutable=mutable, **more)

    @functools.wraps(init)
    def recorded_init(self_: Any, rngs: Any, *args: Any, method: Any = None, **more: Any) -> Any:
      call = {key: value for key, value in more.items() if key not in ('mutable', 'capture_intermediates')}
      with self._noted('init', self_, {}, args, call, rngs, method, False):
        return init(self_, rngs, *args, method=method, **more)

    module.apply, module.init_with_output = recorded_apply, recorded_init

  def _noted(self, *call: Any) -> _Inside:
    if not getattr(self._depth, 'value', 0):
      try:
        self._note(*call)
      except Exception as error:
        self._write({'skipped': type(call[1]).__name__, 'why': f'{type(error).__name__}: {error}'})
    return _Inside(self._depth)

  def _note(self, kind: str, module: Any, variables: Any, args: Any, kwargs: Any, rngs: Any, method: Any,
            mutable: Any) -> None:
    model = self._model(type(module))
    if model is None:
      return
    try:
      if '<locals>' in model:
        raise Unsupported('the class is defined inside a function')
      call = _call(module, args, kwargs, method)
      if kind == 'apply' and call['method'] != '__call__':
        self._makes_all(module, variables, args, kwargs, method, rngs)
      record = {'model': model, 'kind': kind, 'fields': _fields(module), **call,
                'rngs': sorted(rngs) if isinstance(rngs, dict) else [],
                'collections': sorted(name for name in variables if name != 'params'),
                'mutable': _collections(mutable, variables)}
    except Unsupported as error:
      record = {'skipped': model, 'why': str(error)}
    self._write(record)

  def _makes_all(self, module: Any, variables: Any, args: Any, kwargs: Any, method: Any, rngs: Any) -> None:
    """Raises Unsupported when a method uses only some of the weights: a case starts from those its call makes."""
    import jax

    key = jax.random.key(0)
    streams = {'params': key, **dict.fromkeys(rngs if isinstance(rngs, dict) else (), key)}
    with _Inside(self._depth):
      made = jax.eval_shape(
        lambda: module.init_with_output(streams, *args, method=method, **kwargs)[1].get('params', {}))
    if str(jax.tree.structure(made)) != str(jax.tree.structure(dict(variables).get('params', {}))):
      name = method if isinstance(method, str) else method.__name__
      raise Unsupported(f'{name} uses only some of the weights; a case starts from those that its own call makes')

  def _model(self, kind: type) -> str | None:
    """Returns 'package.module:Class' of a class of the repository, or None."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, '__file__', None)
    if file is None:
      return None
    path = os.path.realpath(file)
    inside = os.path.relpath(path, self._root)
    parts = inside.split(os.sep)
    if parts[0] == os.pardir or any(part in _LEFT_OUT for part in parts):
      return None
    name = kind.__module__
    if name == '__main__' and getattr(module, '__spec__', None) is not None:
      name = module.__spec__.name  # type: ignore[union-attr]
    own = os.path.splitext(inside)[0].replace(os.sep, '.').removesuffix('.__init__')
    return f'{name if own in (name, f"src.{name}") else own}:{kind.__qualname__}'

  def _write(self, record: dict[str, Any]) -> None:
    line = json.dumps(record, sort_keys=True)
    if line in self._known:
      return
    self._known.add(line)
    try:
      with open(os.path.join(self._folder, f'{os.getpid()}.jsonl'), 'a', encoding='utf-8') as file:
        file.write(f'{line}\n')
    except OSError:
      pass  # The folder goes when the command ends; what still runs then is not recorded.


class _Inside:
  """Counts how deep calls of modules are nested in one thread."""

  def __init__(self, depth: threading.local) -> None:
    self._depth = depth

  def __enter__(self) -> None:
    self._depth.value = getattr(self._depth, 'value', 0) + 1

  def __exit__(self, *error: object) -> None:
    self._depth.value -= 1


def _fields(module: Any) -> dict[str, Any]:
  """Returns the fields that are other than their defaults, as case arguments."""
  found = {}
  for field in dataclasses.fields(module):
    if field.name in ('parent', 'name') or not field.init:
      continue
    value = getattr(module, field.name)
    missing = dataclasses.MISSING
    default = field.default if field.default_factory is missing else field.default_factory()
    try:
      text = expression(value)
      same = default is not missing and (default is value or expression(default) == text)
    except Unsupported as error:
      if default is value:
        continue
      raise Unsupported(f'the field {field.name}: {error}') from None
    if not same:
      plain = isinstance(value, (bool, int)) or isinstance(value, float) and value == value and abs(value) < 1e300
      found[field.name] = value if plain else text
  return found


def _call(module: Any, args: Any, kwargs: Any, method: Any) -> dict[str, Any]:
  name = '__call__' if method is None else method if isinstance(method, str) else getattr(method, '__name__', '')
  function = getattr(type(module), name, None)
  if function is None or not name.isidentifier():
    raise Unsupported('it is called through a function that is no method of the class')
  parameters = list(inspect.signature(function).parameters.values())[1:]
  inputs, keywords, flags = [], {}, {}
  by_name = False
  for place, value in enumerate(args):
    parameter = parameters[place] if place < len(parameters) else None
    named = parameter is not None and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    if isinstance(value, bool) and named:
      flags[parameter.name] = value  # type: ignore[union-attr]
      by_name = True
    elif by_name and named:
      keywords[parameter.name] = described(value)  # type: ignore[union-attr]
    else:
      inputs.append(described(value))
  for key, value in kwargs.items():
    if isinstance(value, bool):
      flags[key] = value
    else:
      keywords[key] = described(value)
  if not any(is_array(leaf) for leaf in (*args, *kwargs.values())) and not args and not kwargs:
    raise Unsupported(f'{name} is called without inputs')
  return {'method': name, 'inputs': inputs, 'keywords': keywords, 'flags': flags}


def _collections(mutable: Any, variables: Any) -> list[str]:
  """Returns the collections that a call may change, out of those that are there."""
  if isinstance(mutable, bool):
    return sorted(name for name in variables if name != 'params') if mutable else []
  if isinstance(mutable, str):
    return [mutable]
  denied = getattr(mutable, 'deny', None)
  if denied is not None:
    kept = _collections(denied, variables)
    return sorted(name for name in variables if name not in ('params', *kept))
  return sorted(str(name) for name in mutable)
