"""A hypothesis strategy of small random Linen modules: layers, loops, conditions, names, flags, submodules.

Whatever it draws is a valid Linen program: widths may change anywhere, Linen reads them off the input.
"""
from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from hypothesis import strategies as st

HEADER = '''"""A random module."""
import flax.linen as nn
import jax.numpy as jnp


class Inner(nn.Module):
  width: int
  rate: float = 0.25

  @nn.compact
  def __call__(self, x, train: bool = False):
    y = nn.LayerNorm()(x)
    y = nn.Dense(self.width)(y)
    y = nn.Dropout(self.rate, deterministic=not train)(y)
    return nn.Dense(x.shape[-1], name='back')(nn.relu(y))


class Net(nn.Module):
  """The model under test."""

  width: int = 4
  depth: int = 2
  use_norm: bool = True

'''
WIDTHS = ('3', 'self.width', '2 * self.width', 'x.shape[-1]', 'self.width + 1', 'x.shape[-1] // 2 + 1')
ACTIVATIONS = ('nn.relu(x)', 'jnp.tanh(x)', 'nn.gelu(x)', 'nn.silu(x)', 'x * 0.5', 'jnp.abs(x) + x')
NORMS = ('nn.LayerNorm({name})(x)', 'nn.RMSNorm({name})(x)', 'nn.LayerNorm(use_bias=False{more})(x)',
         'nn.BatchNorm(use_running_average=not train, momentum=0.9{more})(x)')
CONDITIONS = ('self.use_norm', 'not self.use_norm', 'self.depth > 1', 'self.width % 2 == 0')


@dataclasses.dataclass(frozen=True)
class RandomProgram:
  """A module's source, and the case that runs its class `Net`."""

  source: str
  case: dict[str, Any]


class _Names:
  """Hands out names that are unique in the module; inside loops they hold the loop variables."""

  def __init__(self) -> None:
    self._count = 0

  def text(self, loops: tuple[str, ...]) -> str:
    self._count += 1
    if not loops:
      return f"'part_{self._count}'"
    fields = '_'.join(f'{{{variable}}}' for variable in loops)
    return f"f'part{self._count}_{fields}'"


@st.composite
def programs(draw: st.DrawFn, style: str | None = None) -> RandomProgram:
  """Draws a program; `style` is 'compact', 'setup' or None for either."""
  style = style or draw(st.sampled_from(['compact', 'compact', 'compact', 'setup']))
  body = _compact(draw) if style == 'compact' else _setup(draw)
  arguments = {'width': str(draw(st.integers(2, 5))), 'depth': str(draw(st.integers(0, 3))),
               'use_norm': str(draw(st.booleans()))}
  shape = draw(st.sampled_from(['2,5', '3,4', '2,3,4']))
  case = {'model': 'Net', 'arguments': arguments, 'inputs': [f'f32[{shape}]'], 'eval': {'train': False},
          'train': {'train': True}, 'rngs': ['dropout'], 'mutable': ['batch_stats']}
  return RandomProgram(HEADER + textwrap.indent(body, '  '), case)


def _compact(draw: st.DrawFn) -> str:
  names = _Names()
  lines = [line for _ in range(draw(st.integers(1, 5))) for line in _statement(draw, names, (), 0)]
  last = f'return nn.Dense({draw(st.sampled_from(WIDTHS))}{_name(draw, names, (), more=True)})(x)'
  body = textwrap.indent('\n'.join([*lines, last]), '  ')
  return f'@nn.compact\ndef __call__(self, x, train: bool = False):\n{body}\n'


def _name(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], more: bool = False) -> str:
  """A `name=` argument, or nothing; `more` when other arguments stand before it."""
  if draw(st.integers(0, 2)):
    return ''
  return f'{", " if more else ""}name={names.text(loops)}'


def _statement(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  simple = [_dense, _activation, _norm, _dropout, _scale, _concatenate, _inner, _residual]
  nested = [_loop, _condition, _loop_condition] if level < 2 else []
  make = draw(st.sampled_from(simple + nested))
  comment = ['# A comment.'] if not draw(st.integers(0, 5)) else []
  return comment + make(draw, names, loops, level)


def _dense(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  width, bias = draw(st.sampled_from(WIDTHS)), draw(st.sampled_from(['', ', use_bias=False']))
  return [f'x = nn.Dense({width}{bias}{_name(draw, names, loops, more=True)})(x)']


def _activation(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  return [f'x = {draw(st.sampled_from(ACTIVATIONS))}']


def _norm(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  name = _name(draw, names, loops)
  return [f'x = {draw(st.sampled_from(NORMS)).format(name=name, more=f", {name}" if name else "")}']


def _dropout(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  return [draw(st.sampled_from(['x = nn.Dropout(0.3, deterministic=not train)(x)',
                                'x = nn.Dropout(rate=0.3)(x, deterministic=not train)']))]


def _scale(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  return [f'x = x * self.param({names.text(loops)}, nn.initializers.ones, (x.shape[-1],))']


def _concatenate(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  width = draw(st.sampled_from(WIDTHS))
  return [f'x = jnp.concatenate([x, nn.Dense({width}{_name(draw, names, loops, more=True)})(x)], axis=-1)']


def _inner(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  flag = draw(st.sampled_from(['train', 'train=train', 'False']))
  return [f'x = x + Inner({draw(st.sampled_from(WIDTHS))}{_name(draw, names, loops, more=True)})(x, {flag})']


def _residual(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  kept = f'skip{level}'
  inside = _statement(draw, names, loops, level + 1)
  name = _name(draw, names, loops, more=True)
  return [f'{kept} = x', *inside, f'if {kept}.shape[-1] != x.shape[-1]:',
          f'  {kept} = nn.Dense(x.shape[-1]{name})({kept})', f'x = x + {kept}']


def _loop(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  variable = 'ij'[level]
  over = draw(st.sampled_from(['range(self.depth)', 'range(2)']))
  return [f'for {variable} in {over}:', *_body(draw, names, (*loops, variable), level + 1)]


def _condition(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  lines = [f'if {draw(st.sampled_from(CONDITIONS))}:', *_body(draw, names, loops, level + 1)]
  if draw(st.booleans()):
    lines += ['else:', *_body(draw, names, loops, level + 1)]
  return lines


def _loop_condition(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  if not loops:
    return _loop(draw, names, loops, level)
  return [f'if {loops[-1]} {draw(st.sampled_from(["> 0", "% 2 == 0", "== 1"]))}:',
          *_body(draw, names, loops, level + 1)]


def _body(draw: st.DrawFn, names: _Names, loops: tuple[str, ...], level: int) -> list[str]:
  count = draw(st.integers(1, 2))
  lines = [line for _ in range(count) for line in _statement(draw, names, loops, level)]
  if all(line.lstrip().startswith('#') for line in lines):
    lines.append('pass')
  return ['  ' + line for line in lines]


def _setup(draw: st.DrawFn) -> str:
  made, used = [], []
  for k in range(draw(st.integers(1, 4))):
    setup, call = draw(st.sampled_from(SETUP_PARTS))
    made += [line.format(k=k) for line in setup]
    used += [line.format(k=k) for line in call]
  call_body = textwrap.indent('\n'.join([*used, 'return x']), '  ')
  setup_body = textwrap.indent('\n'.join(made), '  ')
  return f'def setup(self):\n{setup_body}\n\ndef __call__(self, x, train: bool = False):\n{call_body}\n'


SETUP_PARTS = (
  (['self.dense{k} = nn.Dense(self.width)'], ['x = self.dense{k}(x)']),
  (['self.pair{k} = (nn.Dense(3), nn.LayerNorm())'],
   ['first, second = self.pair{k}', 'x = second(first(x))']),
  (['self.stack{k} = [nn.Dense(self.width) for _ in range(self.depth)]'],
   ['for layer in self.stack{k}:', '  x = nn.relu(layer(x))']),
  (['self.norm{k} = nn.BatchNorm(momentum=0.9)', 'self.out{k} = nn.Dense(self.width + 1)'],
   ['x = self.out{k}(self.norm{k}(x, use_running_average=not train))']),
  (['self.drop{k} = nn.Dropout(0.3)', 'self.mix{k} = Inner(self.width)'],
   ['x = self.drop{k}(x, deterministic=not train)', 'x = self.mix{k}(x, train=train)']),
  (['self.gain{k} = self.param("gain{k}", nn.initializers.ones, (1,))'], ['x = x * self.gain{k}']),
  (['if self.use_norm:', '  self.maybe{k} = nn.LayerNorm()'],
   ['if self.use_norm:', '  x = self.maybe{k}(x)']),
  (['self.seq{k} = nn.Sequential([nn.Dense(self.width), nn.relu, nn.Dense(3)])'], ['x = self.seq{k}(x)']),
)
