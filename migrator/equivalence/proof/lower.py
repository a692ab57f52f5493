"""From a jaxpr to plain data.  The only module of the prover's core that reads jaxprs."""
from __future__ import annotations

import enum
import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.proof import jax_internals as internals
from migrator.equivalence.proof.program import Block, Constant, Equation, Kind, Program

# Parameters that say where or under which name something is computed, not what.
SILENT = frozenset((
  'sharding', 'out_sharding', 'weak_type', 'inline', 'keep_unused', 'donated_invars', 'ctx_mesh',
  'compiler_options_kvs', 'in_shardings', 'out_shardings', 'in_layouts', 'out_layouts', 'linear',
  '_split_transpose', 'unroll', 'jvp_jaxpr_fun', 'jvp_jaxpr_thunk', 'fwd_jaxpr_thunk', 'bwd', 'fwd', 'symbolic_zeros',
  'num_consts', 'num_carry', 'ft_in', 'ft_out', 'prevent_cse', 'policy', 'differentiated', 'concrete'))
# Operations that only call their block.
CALLS = {
  'pjit': 'jaxpr', 'jit': 'jaxpr', 'closed_call': 'call_jaxpr', 'core_call': 'call_jaxpr', 'remat': 'jaxpr',
  'checkpoint': 'jaxpr', 'remat2': 'jaxpr', 'custom_jvp_call': 'call_jaxpr',
  'custom_vjp_call': 'call_jaxpr', 'custom_vjp_call_jaxpr': 'fun_jaxpr', 'custom_lin': 'call_jaxpr'}
CARRIED_ELEMENTS = 1 << 16
OPAQUE = 'opaque'
_serial = itertools.count()

Locate = Callable[[Any], str]


def lower(closed: Any, inputs: Sequence[str], outputs: Sequence[str], side: str = '',
          locate: Locate | None = None) -> Program:
  """Returns a traced program as plain data, without dead code.

  Args:
    closed: what jax.make_jaxpr returned.
    inputs, outputs: names of its flat inputs and outputs.
    side: told apart in parameters that cannot be compared, such as callbacks.
    locate: returns the source line of an equation; None leaves lines out.
  """
  jaxpr, constants = internals.without_dead_code(closed)
  reader = _Reader(side, locate)
  reader.blocks.append(None)
  reader.blocks[0] = reader.block(jaxpr, constants)
  return Program(tuple(reader.blocks), tuple(reader.constants), tuple(inputs), tuple(outputs))


class _Reader:
  """Collects blocks and constants; every distinct jaxpr and array once."""

  def __init__(self, side: str, locate: Locate | None):
    self.blocks: list[Any] = []
    self.constants: list[Constant] = []
    self._side, self._locate = side or str(next(_serial)), locate
    self._known_blocks: dict[int, int] = {}
    self._known_constants: dict[tuple[Kind, str], int] = {}
    self._opaque: dict[int, int] = {}
    self._alive: list[Any] = []

  def block(self, jaxpr: Any, constants: Sequence[Any]) -> Block:
    numbers: dict[Any, int] = {}
    given = [*jaxpr.constvars, *jaxpr.invars]
    for variable in given:
      numbers[variable] = len(numbers)
    held = tuple(self.constant(value) for value in constants)
    equations = tuple(self._equation(item, numbers) for item in jaxpr.eqns)
    outputs = tuple(self._operand(item, numbers) for item in jaxpr.outvars)
    return Block(tuple(range(len(given))), tuple(kind_of(variable.aval) for variable in given), equations,
                 outputs, held)

  def constant(self, value: Any) -> int:
    """Returns the number -k-1 of a constant."""
    kind, data = kind_of(value), plain_array(value)
    digest = hashlib.sha256(f'{kind.dtype}{kind.shape}'.encode() + data.tobytes()).hexdigest()
    known = self._known_constants.get((kind, digest))
    if known is None:
      known = self._known_constants[kind, digest] = -len(self.constants) - 1
      carried = data.size <= CARRIED_ELEMENTS
      self.constants.append(Constant(kind, digest, data if carried else None))
    return known

  def _operand(self, item: Any, numbers: dict[Any, int]) -> int:
    if isinstance(item, internals.literal_type()):
      return self.constant(internals.literal_value(item))
    return numbers[item]

  def _equation(self, item: Any, numbers: dict[Any, int]) -> Equation:
    inputs = tuple(self._operand(operand, numbers) for operand in item.invars)
    outputs = tuple(numbers.setdefault(variable, len(numbers)) for variable in item.outvars)
    op, params, blocks = self._operation(item)
    line = '' if self._locate is None else self._locate(item)
    return Equation(op, params, inputs, outputs, tuple(kind_of(v.aval) for v in item.outvars), blocks, line)

  def _operation(self, item: Any) -> tuple[str, Any, Any]:
    name, params = item.primitive.name, item.params
    if name in CALLS:
      return 'call', (), (('block', (self._number(params[CALLS[name]]),)),)
    plain, blocks = [], []
    for key in sorted(params):
      inner = self._inner(params[key])
      if inner is not None:
        blocks.append((key, inner))
      elif params[key] is not None and key not in SILENT and (key != 'name' or name == 'name'):
        # None is a default: versions of jax add such parameters.
        plain.append((key, self._frozen(params[key])))
    if name == 'scan':
      plain += zip(('constants', 'carried'), internals.scan_counts(params))
    return name, tuple(plain), tuple(blocks)

  def _inner(self, value: Any) -> tuple[int, ...] | None:
    if internals.opened(value) is not None:
      return (self._number(value),)
    if isinstance(value, tuple | list) and value and all(internals.opened(v) is not None for v in value):
      return tuple(map(self._number, value))
    return None

  def _number(self, value: Any) -> int:
    known = self._known_blocks.get(id(value))
    if known is None:
      # Kept alive: the identity of an object names it only while it lives.
      self._alive.append(value)
      known = self._known_blocks[id(value)] = len(self.blocks)
      self.blocks.append(None)
      jaxpr, constants = internals.opened(value) or (value, [])
      self.blocks[known] = self.block(jaxpr, constants)
    return known

  def _frozen(self, value: Any) -> Any:
    """Returns a parameter as plain data; one that cannot be compared gets a text of its own."""
    if value is None or isinstance(value, bool | str) or type(value) is int:
      return value
    if isinstance(value, int | np.integer):
      return int(value)
    if isinstance(value, float | np.floating):
      return ('float', float(value).hex())
    if isinstance(value, enum.Enum):
      return f'{type(value).__name__}.{value.name}'
    if isinstance(value, dict):
      return tuple(sorted((str(key), self._frozen(item)) for key, item in value.items()))
    # Before tuples: an implementation of random numbers is one, of functions that cannot be compared.
    if (name := internals.key_impl_name(value)) is not None:
      return name
    if isinstance(value, tuple | list):
      fields = tuple(map(self._frozen, value))
      return (type(value).__name__, *fields) if hasattr(value, '_fields') else fields
    if isinstance(value, np.ndarray | jax.Array):
      return ('array', self.constants[-self.constant(value) - 1].digest)
    return self._other(value)

  def _other(self, value: Any) -> str:
    if internals.is_symbolic(value):
      return str(value)
    if isinstance(value, np.dtype) or (isinstance(value, type) and hasattr(value, 'dtype')):
      return str(jnp.dtype(value))
    if isinstance(value, jax.dtypes.prng_key) or callable(value) or ' at 0x' in repr(value):
      self._alive.append(value)
      return f'{OPAQUE}:{self._side}:{self._opaque.setdefault(id(value), len(self._opaque))}'
    return f'{type(value).__name__}:{value!r}'


def kind_of(value: Any) -> Kind:
  """Returns shape and dtype of an array or of an abstract value."""
  if not hasattr(value, 'shape') or not hasattr(value, 'dtype'):
    return Kind((), str(value) if hasattr(value, 'aval') or not np.isscalar(value) else str(np.asarray(value).dtype))
  return Kind(tuple(str(size) if internals.is_symbolic(size) else int(size) for size in value.shape),
              str(value.dtype))


def plain_array(value: Any) -> np.ndarray:
  """Returns an array as NumPy has it; random keys as their data."""
  if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
    return np.asarray(jax.random.key_data(value))
  return np.asarray(value)
