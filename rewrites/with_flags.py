"""A helper that lets code which still is Linen call NNX classes with the train flags they had."""

from __future__ import annotations

from rewrites.record import Helper

_WITH_FLAGS = '''
_RUNNING = contextvars.ContextVar('classes whose methods run', default=frozenset())


@functools.cache
def _with_flags(nnx_class, method, flags):
  original = getattr(nnx_class, method)
  parameters = list(inspect.signature(original).parameters.values())
  for name, (_, position, *default) in flags:
    kind = inspect.Parameter.KEYWORD_ONLY if position is None else inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = {'default': default[0]} if default else {}
    last = len(parameters) - (bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
    parameters.insert(last if position is None else position + 1, inspect.Parameter(name, kind, **given))
  signature = inspect.Signature(parameters)

  @functools.wraps(original)
  def call(*args, **kwargs):
    if type(args[0]) in _RUNNING.get():
      return original(*args, **kwargs)  # called by a method of its own, which is NNX
    bound = signature.bind(*args, **kwargs)
    module, *_ = bound.args
    values = {name: bound.arguments.pop(name, *default) for name, (_, _, *default) in flags}
    rest = inspect.BoundArguments(inspect.signature(original), bound.arguments)
    if method == '__init__':
      original(*rest.args, **rest.kwargs)
    for name, (meaning, _, *_) in flags:
      if values[name] is None:
        continue
      if meaning in ('train', 'eval'):
        (module.train if bool(values[name]) == (meaning == 'train') else module.eval)()
      elif meaning:
        attribute = meaning.removeprefix('not ')
        value = values[name] if attribute == meaning else not values[name]
        module.set_attributes(**{attribute: value}, raise_if_not_found=False)
    if method == '__init__':
      return None
    token = _RUNNING.set(_RUNNING.get() | {type(module)})
    try:
      return original(*rest.args, **rest.kwargs)
    finally:
      _RUNNING.reset(token)

  call.__signature__ = signature
  names = {key: getattr(nnx_class, key) for key in ('__module__', '__qualname__', '__doc__')}
  return type(nnx_class)(nnx_class.__name__, (nnx_class,), {**names, method: call})


def with_flags(nnx_class, method='__call__', /, **flags):
  """Returns an NNX class whose method takes the train flags it had in Linen, and sets the mode of the module by them.

  Args:
    nnx_class: the NNX class, or a partial of it.
    method: the name of the method, or '__init__' for fields.
    **flags: by name, what True means ('train', 'eval', or an attribute that it is set to, as in 'not deterministic'),
      its place behind `self` (None if it goes by name only), and its default if it has one.
  """
  if isinstance(nnx_class, functools.partial):
    return functools.partial(with_flags(nnx_class.func, method, **flags), *nnx_class.args, **nnx_class.keywords)
  return _with_flags(nnx_class, method, tuple(flags.items()))
'''

WITH_FLAGS = Helper('with_flags', _WITH_FLAGS, ('import contextvars', 'import functools', 'import inspect'))
