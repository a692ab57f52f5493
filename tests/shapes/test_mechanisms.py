"""One mechanism of the interpreter at a time: the sizes it finds, and where it must not claim any."""
from __future__ import annotations

import pytest

from tests.shapes.reading import inputs, method, read

FOUND = {
  'chain': ('x = nn.Dense(4)(x)\nreturn nn.Dense(5)(x)', '', ['x_last', '4']),
  'field': ('x = nn.Dense(self.f * 2)(x)\nreturn nn.Dense(5)(x)', 'f: int', ['x_last', '2*f']),
  'flatten': ('b, h, w, c = x.shape\nreturn nn.Dense(5)(x.reshape((b, -1)))', '', ['x_1*x_2*x_last']),
  'closure': ('def f(y):\n  return nn.Dense(self.f)(y)\nreturn nn.Dense(1)(f(x))', 'f: int', ['x_last', 'f']),
  'lambda': ('f = lambda y: jnp.concatenate([y, y], -1)\nreturn nn.Dense(1)(f(x))', '', ['2*x_last']),
  'partial': ('d = partial(nn.Dense, use_bias=False)\nreturn d(3)(d(2)(x))', '', ['2', 'x_last']),
  'tuple assignment': (
    'a, b = jnp.split(nn.Dense(8)(x), 2, axis=-1)\nreturn nn.Dense(1)(a)',
    '',
    ['x_last', '4'],
  ),
  'augmented assignment': ('y = nn.Dense(6)(x)\ny += 1\nreturn nn.Dense(1)(y)', '', ['x_last', '6']),
  'known condition': ('x = nn.Dense(3 if True else 4)(x)\nreturn nn.Dense(1)(x)', '', ['x_last', '3']),
  'unrolled loop': (
    'for k in (2, 3):\n  x = jnp.concatenate([x] * k, -1)\nreturn nn.Dense(1)(x)',
    '',
    ['6*x_last'],
  ),
  'heads': (
    'y = nn.Dense(self.h * self.d)(x)\ny = y.reshape(*y.shape[:-1], self.h, -1)\nreturn nn.Dense(1)(y)',
    'h: int\nd: int',
    ['x_last', 'd'],
  ),
  'heads and back': (
    'b, t, d = x.shape\ny = x.reshape(b, t, self.h, d // self.h)\nreturn nn.Dense(1)(y.reshape(b, t, -1))',
    'h: int',
    ['x_last'],
  ),
  'divided and back': (
    'b, t, d = x.shape\ny = x.reshape(b, t, self.h, -1)\nreturn nn.Dense(1)(y.reshape(b, t, -1))',
    'h: int',
    ['x_last'],
  ),
  'einops': (
    "b, h, w, c = x.shape\nreturn nn.Dense(1)(einops.rearrange(x, 'b h w c -> b (h w c)'))",
    '',
    ['x_1*x_2*x_last'],
  ),
  'conv': ('x = nn.Conv(self.f, (3, 3))(x)\nreturn nn.Dense(1)(x.mean((1, 2)))', 'f: int', ['x_last_2', 'f']),
  'equal sizes': ('y = nn.Dense(self.f)(x)\nreturn nn.Dense(1)(x + y)', 'f: int', ['x_last', 'f']),
  'stack of a comprehension': (
    'y = jnp.stack([jnp.ones((2,)) for _ in range(self.n)], -1)\nreturn nn.Dense(1)(y)',
    'n: int',
    ['n'],
  ),
  'numpy with sizes': ('y = np.zeros((2, x.shape[-1]))\nreturn nn.Dense(1)(y)', '', ['x_last']),
  'callable field': (
    'return nn.Dense(1)(self.act(nn.Dense(4)(x)))',
    'act: Callable = nn.relu',
    ['4', 'x_last'],
  ),
  'list popped': (
    's = []\ns.append(nn.Dense(3)(x))\ns.append(nn.Dense(4)(x))\nreturn nn.Dense(1)(s.pop())',
    '',
    ['x_last', 'x_last', '4'],
  ),
  'dict of layers': (
    "d = {'a': nn.Dense(3), 'b': nn.Dense(4)}\nreturn nn.Dense(1)(d['b'](x))",
    '',
    ['x_last', '4'],
  ),
}


@pytest.mark.parametrize(('body', 'fields', 'widths'), FOUND.values(), ids=FOUND)
def test_sizes_found(body: str, fields: str, widths: list[str]) -> None:
  analysis = method(body, fields=fields)
  assert sorted(inputs(analysis)) == sorted(widths)
  assert not analysis.unsized and not analysis.record.refusals


UNKNOWN = {
  'function of elsewhere': ('import other\ny = other.f(x)\nreturn nn.Dense(1)(y)', ''),
  'module in a field': ('return nn.Dense(1)(self.body(x))', 'body: nn.Module'),
  'argument absent from a dict': ("d = {'a': x}\nreturn nn.Dense(1)(d['b'])", ''),
  'two ranks': (
    'if self.flag:\n  x = x.reshape(x.shape[0], -1)\nelse:\n  x = jnp.concatenate([x, x], -1)[None, None]\nreturn nn.Dense(1)(x)',
    'flag: bool',
  ),
}


@pytest.mark.parametrize(('body', 'fields'), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_followed_is_unknown_with_a_line(body: str, fields: str) -> None:
  analysis = method(body, fields=fields)
  assert analysis.unsized
  line, reason = analysis.unsized[-1]
  assert line > 0 and len(reason) > 10


def test_a_loop_over_a_field_carries_its_width() -> None:
  analysis = method(
    'for f in self.features:\n  x = nn.Dense(f)(x)\nreturn nn.Dense(1)(x)', fields='features: Sequence[int]'
  )
  creation = analysis.record.order[0]
  info = analysis.table.info(str(creation.uses[-1].args[0].shape[-1]))
  assert (info.kind, str(info.entry), str(info.update)) == ('carried', 'x_last', 'f')


def test_two_branches_give_either_size() -> None:
  analysis = method(
    'if self.flag:\n  y = nn.Dense(3)(x)\nelse:\n  y = nn.Dense(4)(x)\nreturn nn.Dense(1)(y)',
    fields='flag: bool',
  )
  info = analysis.table.info(inputs(analysis)[-1])
  assert (info.kind, info.then, info.orelse) == ('phi', 3, 4)


def test_equal_sizes_are_noted() -> None:
  analysis = method('y = nn.Dense(self.f)(x)\nreturn nn.Dense(1)(x + y)', fields='f: int')
  assert any('taken as equal' in text for _, text in analysis.record.notes)


def test_reshape_that_cannot_fit_is_no_answer() -> None:
  analysis = method('y = nn.Dense(4)(x)\nreturn nn.Dense(1)(y.reshape(y.shape[:-1] + (3,)))')
  assert analysis.unsized == [(analysis.record.order[-1].line, analysis.unsized[0][1])]


def test_config_objects_are_read_by_annotation() -> None:
  analysis = read("""
    @dataclasses.dataclass
    class Config:
      width: int = 8
      act: Callable = nn.relu

    class M(nn.Module):
      config: Config
      @nn.compact
      def __call__(self, x):
        return nn.Dense(1)(nn.Dense(self.config.width)(x))
    """)
  assert sorted(inputs(analysis)) == ['config_width', 'x_last']
  assert analysis.table.info('config_width').source == 'self.config.width'


def test_random_keys_are_recognised_by_their_use() -> None:
  analysis = method('y = jax.random.normal(rng, (3, 4))\nreturn nn.Dense(1)(y) + x', arguments='rng, x')
  assert inputs(analysis) == ['4']


TRANSFORMS = {
  'vmap': (
    'f = jax.vmap(lambda y, k: jnp.concatenate([y, k], -1), in_axes=(1, None))\n'
    'return nn.Dense(1)(f(x, x[:, 0]))',
    ['2*x_last'],
  ),
  'vmap of outputs': (
    'return nn.Dense(1)(jax.vmap(lambda y: y.sum(-1), in_axes=1, out_axes=-1)(x))',
    ['x_1'],
  ),
  'scan': (
    'c, ys = jax.lax.scan(lambda c, y: (c + y, jnp.concatenate([y, y], -1)), x[0], x)\n'
    'return nn.Dense(1)(ys)',
    ['2*x_last'],
  ),
  'carry': ('c, ys = jax.lax.scan(lambda c, y: (c + y, None), x[0], x)\nreturn nn.Dense(1)(c)', ['x_last']),
}


@pytest.mark.parametrize(('body', 'widths'), TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_of_local_functions(body: str, widths: list[str]) -> None:
  analysis = method('b, t, d = x.shape\n' + body)
  assert inputs(analysis) == widths and not analysis.unsized


def test_a_parameter_whose_shape_is_not_known_is_not_scalar() -> None:
  analysis = method("return x + self.param('w', self.init_fn, unknown_shape(x))", fields='init_fn: Callable')
  assert analysis.unsized


def test_a_list_of_unknown_length_has_a_size_of_its_own() -> None:
  analysis = method(
    'y = jnp.array([1.0 for k in self.table if k])\nreturn nn.Dense(1)(y)', fields='table: Sequence[float]'
  )
  assert analysis.table.info(inputs(analysis)[0]).kind == 'opaque'


def test_static_methods_are_called_by_class() -> None:
  analysis = read("""
    class M(nn.Module):
      @staticmethod
      def double(x):
        return jnp.concatenate([x, x], -1)
      @nn.compact
      def __call__(self, x):
        return nn.Dense(1)(M.double(x))
    """)
  assert inputs(analysis) == ['2*x_last']
