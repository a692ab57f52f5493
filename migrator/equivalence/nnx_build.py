"""Constructing and calling the NNX model from what a case says in Linen's terms."""
from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from flax import nnx

from migrator.equivalence.cases import Case
from migrator.equivalence.errors import RequestError
from migrator.equivalence.models import CallInputs, value_of
from migrator.manifest import Manifest, ModeFlag, SizeArgument
from migrator.weights.asked_sizes import asked_sizes

SEED = 20_260_000


def build(kind: type, case: Case, manifest: Manifest, inputs: CallInputs, names: dict[str, Any],
          variables: Mapping[str, Any]) -> tuple[nnx.Module, dict[str, Any]]:
  """Constructs the model.

  Args:
    kind: the NNX class.  names: for the expressions of the case.
    variables: of Linen, for sizes that only they tell.

  Returns:
    The model, and the constructor arguments of Linen that are call arguments in NNX.

  Raises:
    RequestError: a size cannot be read from the inputs.
    WeightsError: a size cannot be read from the variables.
  """
  entry = manifest.classes[case.model]
  texts = {**case.arguments, **case.nnx_arguments}
  given = {name: value_of(text, names) for name, text in texts.items()
           if not (text is None and name in case.nnx_arguments)}
  dropped = [row.name for row in entry.modes if row.method == '__init__']
  fields = {name: given.pop(name) for name in (*entry.call_fields, *dropped) if name in given}
  for argument in entry.arguments:
    if argument.name not in given and not argument.asked:
      given[argument.name] = _size(kind, case, argument, inputs, entry.modes)

  def make(**sizes: Any) -> nnx.Module:
    return kind(**given, **sizes, **_rngs(kind, case))

  return make(**asked_sizes(make, variables, manifest, case.model, tuple(given))), fields


def _rngs(kind: type, case: Case) -> dict[str, nnx.Rngs]:
  # The class itself shows the signature of its metaclass.
  constructor: Any = inspect.getattr_static(kind, '__init__')
  if 'rngs' not in inspect.signature(constructor).parameters:
    return {}
  return {'rngs': own_streams(case)}


def own_streams(case: Case) -> nnx.Rngs:
  """Returns the streams a model is constructed with; no two of them hand out the same keys."""
  # Seeds that nobody writes: a model that seeds streams of its own must not meet ours by chance.
  names = ('params', *(name for name in case.rngs if name != 'params'))
  # A default stream too: constructors fork streams that only training draws from.
  return nnx.Rngs(SEED, **{name: SEED + 1 + k for k, name in enumerate(names)})


def _size(kind: type, case: Case, argument: SizeArgument, inputs: CallInputs, modes: Sequence[ModeFlag]) -> Any:
  where = f'{case.model}: constructor argument {argument.name}'
  method = getattr(kind, argument.method, None)
  if method is None:
    raise RequestError(f'{where} is read from method {argument.method}, which NNX has not')
  rows = [row for row in modes if row.method == argument.method]
  args, keywords = without_modes(rows, *inputs.rebuild(inputs.arrays))
  try:
    bound = inspect.signature(method).bind_partial(None, *args, **keywords)
  except TypeError as error:
    raise RequestError(f'{where}: the inputs of the case do not fit {argument.method}: {error}') from None
  array: Any = bound.arguments.get(argument.argument)
  if array is None and argument.optional:
    return None
  if not hasattr(array, 'shape'):
    raise RequestError(f'{where} is read from call argument {argument.argument}, which the case gives as no '
                       'array; add it to inputs or keywords, or set the size in nnx_arguments')
  shape = tuple(array.shape)
  return shape if argument.axis is None else shape[argument.axis]


def call_method(model: nnx.Module, method: str, flags: dict[str, Any], inputs: CallInputs,
                mode: str, modes: Sequence[ModeFlag] = ()) -> tuple[Any, list[str]]:
  """Returns a function of (model, arrays) that calls the method, and notes.

  A boolean flag that the method does not take has become the mode of the model's layers: `model`
  is then put into training or evaluation mode.

  Args:
    modes: flags of Linen's methods that are the mode of the model now; they may be given among the inputs too.

  Raises:
    RequestError: there is no such method, or it does not take a flag that is no boolean.
  """
  function = getattr(type(model), method, None)
  if function is None:
    raise RequestError(f'{type(model).__name__}: there is no method {method} in NNX')
  parameters = inspect.signature(function).parameters
  open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
  rows = [row for row in modes if row.method == method]
  rows = [row for row in modes if row.method == '__init__' and row.name not in {item.name for item in rows}] + rows
  settings = mode_settings(rows, flags, inputs)
  known = {row.name for row in rows}
  lost = [name for name in flags if name not in parameters and not open_ended and name not in known]
  wrong = [name for name in lost if not isinstance(flags[name], bool)]
  if wrong:
    raise RequestError(f'{type(model).__name__}.{method} does not take {wrong[0]} in NNX')
  fields = [name for name in lost if name in inspect.signature(type(model).__init__).parameters]
  if fields:
    raise RequestError(f'{type(model).__name__}: {fields[0]} is given to the constructor in NNX, not to {method}; '
                       f'put it into `arguments`, in a case for each value')
  notes = []
  if lost:
    # A field called `train` hides the method of the model itself.
    nnx.Module.train(model) if mode == 'train' else nnx.Module.eval(model)
    notes = [f'{", ".join(lost)}: no argument of {method} in NNX, so the model was put into {mode} mode']
  if settings:
    model.set_attributes(raise_if_not_found=False, **settings)
  kept = {name: value for name, value in flags.items() if name not in {*lost, *known}}

  def call(model: nnx.Module, arrays: Any) -> Any:
    args, keywords = without_modes(rows, *inputs.rebuild(arrays))
    output = getattr(model, method)(*args, **{**keywords, **kept})
    return jax.tree.map(_value, output, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))

  return call, notes


def mode_settings(rows: Sequence[ModeFlag], flags: Mapping[str, Any], inputs: CallInputs) -> dict[str, Any]:
  """Returns what the attributes of the layers are to be for the flags of a case, or for their defaults.

  Raises:
    RequestError: a flag is no boolean.
  """
  args, keywords = inputs.rebuild(inputs.arrays)
  settings: dict[str, Any] = {}
  for row in rows:
    value = flags.get(row.name, keywords.get(row.name, row.default))
    if row.method != '__init__' and row.position is not None and row.position < len(args):
      value = args[row.position]
    if value is None:
      continue
    if not isinstance(value, bool):
      raise RequestError(f'{row.name} of {row.method} is the mode of the model in NNX: give True or False, not {value!r}')
    settings.update(row.settings(value))
  return settings


def without_modes(rows: Sequence[ModeFlag], args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
  """Returns the arguments of a call of Linen without the flags that NNX does not take."""
  places = {row.position for row in rows if row.method != '__init__'}
  names = {row.name for row in rows if row.method != '__init__'}
  return ([value for place, value in enumerate(args) if place not in places],
          {name: value for name, value in keywords.items() if name not in names})


def _value(leaf: Any) -> Any:
  return leaf[...] if isinstance(leaf, nnx.Variable) else leaf
