"""`assert_equivalent`: two live modules, a port made by hand, no manifest, one process."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import linen as nn
from flax import nnx

from migrator.equivalence import linen_side, nnx_side, training_steps
from migrator.equivalence.cases import Case
from migrator.equivalence.linen_keys import Draw
from migrator.equivalence.models import arrays_of
from migrator.equivalence.nnx_build import own_streams
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.ports import initial, linen_reading, streams
from migrator.equivalence.ports.flags import Flags, infer_modes, translated
from migrator.equivalence.ports.infer import PortMap, infer
from migrator.equivalence.ports.message import failure_text, is_accepted
from migrator.equivalence.ports.sides import (
  LinenPort,
  LocalWorker,
  NnxPort,
  PortWeights,
  call_inputs,
  root_of,
)
from migrator.equivalence.proof import ModeProof
from migrator.equivalence.proof.case_proof import CaseProof
from migrator.equivalence.run import NO_NUMBERS, TIMEOUT
from migrator.equivalence.verdicts import CaseResult
from migrator.manifest import Manifest
from migrator.weights.variables import flatten

NUMERICS = ('idiomatic', 'exact')
NO_MANIFEST = Manifest({})
# What a report calls an optimizer that is no text.
GIVEN = 'the given optimizer'
LinenPath = tuple[str, ...]


def assert_equivalent(
    linen_module: nn.Module, nnx_module: nnx.Module | Callable[[nnx.Rngs], nnx.Module], *args: Any, rngs: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None, modes: Mapping[str, Flags] | None = None,
    numerics: str = 'idiomatic', keywords: Mapping[str, Any] | None = None, method: str = '__call__',
    mutable: Sequence[str] | None = None, gradients: bool = True, initializers: bool = True,
    numbers: bool = True, tolerance: float = 1e-5, optimizer: Any = None, nnx_optimizer: Any = None,
    extra_inputs: bool = True) -> CaseResult:
  """Asserts that an NNX module computes what a Linen module computes.

  Which NNX leaf is which Linen variable is inferred from shapes, layers and names.  Both modules then
  get the same random weights (never the initial ones), the same inputs and Linen's random keys, and are
  compared in evaluation and training: outputs, updated collections, gradients, and how the weights are
  initialized.

  Args:
    linen_module: not bound.
    nnx_module: as constructed; it is not changed.  Or a function of nnx.Rngs that constructs it: then the
      initializers are proved, where else they are compared by the values they gave.
    *args: positional call arguments: arrays, trees of arrays, or jax.ShapeDtypeStruct for random ones.
    rngs: streams the call draws from besides 'params'; those it is seen to draw from when None.
    mapping: what cannot be inferred: paths of Linen modules or variables ('Dense_0', 'block/scale',
      'params/head/bias') -> paths in the NNX module ('fc1', 'blocks/0/scale').
    modes: flags of the call, {'eval': {'train': False}, 'train': {'train': True}}; when None, those of
      the usual names (train, deterministic, ...) that the Linen module takes.  A flag that the NNX
      method does not take is given under the usual name it does take, or by model.train(), model.eval().
    numerics: 'idiomatic' accepts another order of rounding, 'exact' does not.
    keywords: call arguments by keyword.  method: the method that is called, on both sides.
    mutable: collections that a call may change; all but 'params' when None.
    gradients, initializers: compare these too.
    numbers: run both modules too; False leaves it to the proofs, which need no weights and no compilation.
    tolerance: largest error that 'idiomatic' accepts, relative to the scale of the reference.
    optimizer: the optax chain of a training step, adamw when None; a step is proved, and twenty are run side by
      side where it is not proved to be the same program.
    nnx_optimizer: that of the NNX side where it is another one.
    extra_inputs: run both for inputs with a not-a-number, large, masked and shorter ones too.

  Returns:
    The result, with every proof and every number.

  Raises:
    MappingError: a leaf without counterpart or with another shape, dtype or collection; all of them.
    AmbiguousMappingError: several mappings fit; it lists the candidates.
    AssertionError: the modules differ; the message names every module that does, and why.
    ValueError: an argument cannot be used.
  """
  _refuse_wrong(linen_module, nnx_module, modes, numerics, method)
  result, port, model = compare_port(
    linen_module, nnx_module, *args, rngs=rngs, mapping=mapping, modes=modes, keywords=keywords, method=method,
    mutable=mutable, gradients=gradients, initializers=initializers, numbers=numbers, tolerance=tolerance,
    optimizer=optimizer, nnx_optimizer=nnx_optimizer, extra_inputs=extra_inputs)
  if not is_accepted(result, numerics):
    raise AssertionError(failure_text(result, port, linen_module, model, numerics))
  return result


def compare_port(
    linen_module: nn.Module, nnx_module: nnx.Module | Callable[[nnx.Rngs], nnx.Module], *args: Any,
    rngs: Sequence[str] | None = None, mapping: Mapping[str, str] | None = None,
    modes: Mapping[str, Flags] | None = None, keywords: Mapping[str, Any] | None = None, method: str = '__call__',
    mutable: Sequence[str] | None = None, gradients: bool = True, initializers: bool = True, numbers: bool = True,
    tolerance: float = 1e-5, optimizer: Any = None, nnx_optimizer: Any = None,
    extra_inputs: bool = True) -> tuple[CaseResult, PortMap, nnx.Module]:
  """Compares as `assert_equivalent` does, and returns what was found, whatever it is.

  Returns:
    The result, which leaf and module was taken for which, and the NNX module.

  Raises:
    MappingError: the leaves cannot be brought together.
  """
  linen, classes, draws = _linen(linen_module, args, keywords or {}, modes, rngs, mutable, method, tolerance,
                                 gradients)
  case = dataclasses.replace(linen.case, extra_inputs=extra_inputs,
                             optimizer=linen.case.optimizer if optimizer is None else GIVEN)
  linen = dataclasses.replace(linen, case=case)
  model, make = _built(nnx_module, linen.case)
  port = infer(flatten(linen.variables), classes, model, mapping)
  placed = streams.place(model, [path for path, _ in draws], port.modules)
  port = dataclasses.replace(port, modules={**port.modules, **placed})
  streams.rename(model, draws, port.modules)
  chains = optimizer, optimizer if nnx_optimizer is None else nnx_optimizer
  return _run(linen, model, make, port, initializers, numbers, chains), port, model


def _linen(module: nn.Module, args: tuple[Any, ...], keywords: Mapping[str, Any],
           modes: Mapping[str, Flags] | None, rngs: Sequence[str] | None, mutable: Sequence[str] | None,
           method: str, tolerance: float,
           gradients: bool) -> tuple[linen_side.Prepared, dict[LinenPath, type], list[Draw]]:
  """Returns the Linen module ready to run, the classes of the modules inside it, and what they draw."""
  chosen = infer_modes(module, method) if modes is None else modes
  kind = type(module)
  name = f'{kind.__module__}:{kind.__qualname__}'.replace('<', '').replace('>', '')
  case = Case(name=kind.__name__, model=name, eval=chosen.get('eval'), train=chosen.get('train'),
              rngs=tuple(rngs or ()), method=method, tolerance=tolerance, gradients=gradients)
  ready = linen_side.Prepared(case, module, call_inputs(args, keywords), {})
  side = LinenPort()
  with linen_reading.watched_classes() as classes:
    variables = side.variables_of(ready)
  changes = tuple(sorted(set(variables) - {'params'})) if mutable is None else tuple(mutable)
  case = dataclasses.replace(case, mutable=changes, eval_mutable=changes)
  ready = dataclasses.replace(ready, case=case, variables=variables)
  draws = side.draws(ready)
  names = tuple(sorted({stream for _, stream in draws})) if rngs is None else tuple(rngs)
  return dataclasses.replace(ready, case=dataclasses.replace(case, rngs=names)), classes, draws


def _built(given: Any, case: Case) -> tuple[nnx.Module, Callable[[], nnx.Module] | None]:
  """Returns a module of our own, and what constructs it, if that is known."""
  if isinstance(given, nnx.Module):
    return nnx.clone(given), None

  def make() -> nnx.Module:
    model: nnx.Module = given(own_streams(case))
    return model

  return make(), make


def _run(linen: linen_side.Prepared, model: nnx.Module, make: Callable[[], nnx.Module] | None, port: PortMap,
         initializers: bool, numbers: bool, chains: tuple[Any, Any]) -> CaseResult:
  variables, case = arrays_of(linen.variables), linen.case
  loaded = nnx.clone(model)
  weights = PortWeights(loaded, variables, port.leaves)
  there = dataclasses.replace(case, eval=_flags(case.eval, model, case), train=_flags(case.train, model, case))
  ready = nnx_side.Prepared(there, NO_MANIFEST, loaded, linen.inputs, {}, variables, weights)
  linen_port = LinenPort(root_of(linen.model), chains[0])
  linen_port.use(linen)
  # They speak as worker processes do.
  one: Any = LocalWorker('linen', linen_port)
  other: Any = LocalWorker('nnx', NnxPort(ready, port, make or (lambda: nnx.clone(model)), chains[1]))
  proof = PortProof(case, NO_MANIFEST, one, other, TIMEOUT, make is not None and initializers)
  proofs = proof.proofs()
  result = CaseResult(case.name, case.model, notes=(NO_NUMBERS,))
  if numbers:
    result = CaseRun(case, NO_MANIFEST, one, other, TIMEOUT, *training_steps.asked(proofs)).result()
  result = dataclasses.replace(result, proofs=proofs, modules=proof.modules())
  if not (initializers and numbers):
    return result
  part = initial.compare(linen_port.initial(linen), weights.to_linen(nnx.state(model)))
  return dataclasses.replace(result, parts=(*result.parts, part))


class PortProof(CaseProof):
  """The proofs of a port; initializers are proved only where the constructor call is known."""

  def __init__(self, case: Case, manifest: Manifest, linen: Any, nnx_worker: Any, timeout: float, constructs: bool):
    super().__init__(case, manifest, linen, nnx_worker, timeout)
    self._constructs = constructs

  def proofs(self) -> tuple[ModeProof, ...]:
    return tuple(proof for proof in super().proofs() if proof.mode != 'init' or self._constructs)


def _flags(flags: Flags | None, model: nnx.Module, case: Case) -> Flags | None:
  return None if flags is None else translated(flags, model, case.method)


def _refuse_wrong(linen_module: Any, nnx_module: Any, modes: Mapping[str, Flags] | None, numerics: str,
                  method: str) -> None:
  if not isinstance(linen_module, nn.Module):
    raise ValueError(f'linen_module is a {type(linen_module).__name__}; give a flax.linen.Module')
  if not isinstance(nnx_module, nnx.Module) and (isinstance(nnx_module, nn.Module) or not callable(nnx_module)):
    raise ValueError(f'nnx_module is a {type(nnx_module).__name__}; give a flax.nnx.Module, constructed, '
                     'or a function of nnx.Rngs that constructs it')
  if numerics not in NUMERICS:
    raise ValueError(f'numerics = {numerics!r}; choose one of {", ".join(NUMERICS)}')
  if modes is not None and (not modes or not set(modes) <= {'eval', 'train'}):
    raise ValueError(f"modes = {dict(modes)!r}; give the flags of 'eval', of 'train', or of both")
  for module in (linen_module, nnx_module):
    if isinstance(module, nn.Module | nnx.Module) and not callable(getattr(type(module), method, None)):
      raise ValueError(f'{type(module).__name__} has no method {method}')
