"""Bases, fields and methods of classes across files."""
from __future__ import annotations

import ast
import random

import pytest

from migrator.source import read_project
from tests.source.repository import linen, project, write

ZOO = {
  'zoo/__init__.py': 'from .base import Base as Root\n',
  'zoo/base.py': 'import flax.linen as nn\nclass Base(nn.Module):\n  width: int\n  depth: int = 2\n',
  'zoo/middle.py': 'from zoo import Root\nclass Middle(Root):\n  depth: int = 3\n  extra: int = 1\n',
  'zoo/leaf.py': 'from .middle import Middle as M\nclass Leaf(M): pass\n',
  'zoo/common.py': 'from flax import linen as nn\n',
  'zoo/hidden.py': 'from zoo.common import nn\nclass Hidden(nn.Module): pass\n',
  'zoo/chain.py': 'from zoo.common import *\n',
  'zoo/starred.py': 'from zoo.chain import *\nclass Starred(nn.Module): pass\n',
  'zoo/other.py': 'class Base: pass\nclass Leaf(Base): pass\n# flax\n',
  'zoo/layer.py': 'from flax.linen import Dense\nclass MyDense(Dense): pass\n',
}
ZOO_LINEN = {
  'zoo.base:Base', 'zoo.middle:Middle', 'zoo.leaf:Leaf', 'zoo.hidden:Hidden', 'zoo.starred:Starred',
  'zoo.layer:MyDense'}


def test_linen_reaches_through_files_and_re_exports(tmp_path):
  found = project(tmp_path, ZOO)
  assert linen(found) == ZOO_LINEN
  leaf = found.classes['zoo.leaf:Leaf']
  assert [item.name for item in leaf.mro] == ['zoo.leaf:Leaf', 'zoo.middle:Middle', 'zoo.base:Base']
  assert leaf.foreign_bases == ('flax.linen.Module',)
  assert found.suspicious == []


@pytest.mark.parametrize('seed', range(5))
def test_the_order_of_files_does_not_matter(tmp_path, seed):
  root = write(tmp_path, ZOO)
  files = sorted(root.rglob('*.py'))
  random.Random(seed).shuffle(files)
  found = read_project(files, root)
  assert linen(found) == ZOO_LINEN
  assert list(found.modules) == list(read_project([root], root).modules)


def test_one_given_file_finds_its_bases_on_disk(tmp_path):
  root = write(tmp_path, ZOO)
  found = read_project([root / 'zoo/leaf.py', root / 'zoo/base.py'], root)
  assert 'zoo.leaf:Leaf' in linen(found)
  assert not found.modules['zoo.middle'].selected
  assert found.modules['zoo.leaf'].selected


def test_fields_keep_the_place_of_what_they_override(tmp_path):
  found = project(tmp_path, ZOO)
  fields = found.classes['zoo.leaf:Leaf'].fields
  assert list(fields) == ['width', 'depth', 'extra']
  assert ast.unparse(fields['depth'].default) == '3'
  assert fields['depth'].owner.name == 'zoo.middle:Middle'


def test_field_kinds(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import dataclasses
    from dataclasses import field, KW_ONLY
    from typing import ClassVar
    import typing as t
    import flax.linen as nn

    class Net(nn.Module):
      a: int
      shared: ClassVar[int] = 1
      quoted: 't.ClassVar[int]' = 1
      bare: t.ClassVar = 1
      b: list = field(default_factory=list)
      c: int = dataclasses.field(default=3, init=False)
      d: int = nn.Module
      plain = 5
      name: str = 'x'
      parent: nn.Module = None
      if True:
        e: int = 0
      _: KW_ONLY
      f: int = 1

    class Kw(nn.Module, kw_only=True):
      g: int = 2
    '''})
  fields = found.classes['net:Net'].fields
  assert list(fields) == ['a', 'b', 'c', 'd', 'e', 'f']
  assert fields['a'].default is None
  assert fields['b'].default_factory and ast.unparse(fields['b'].default) == 'list'
  assert ast.unparse(fields['c'].default) == '3' and not fields['c'].init
  assert [name for name, item in fields.items() if item.kw_only] == ['f']
  assert list(found.classes['net:Net'].constants) == ['plain']
  assert found.classes['net:Kw'].fields['g'].kw_only


def test_only_dataclasses_give_fields(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import dataclasses
    import flax
    import flax.linen as nn
    from flax import struct

    class Mixin:
      note: str

    @dataclasses.dataclass(frozen=True)
    class Config:
      width: int

    @struct.dataclass
    class State:
      step: int

    @flax.struct.dataclass
    class Other: pass

    class Tree(struct.PyTreeNode):
      leaf: int

    class Net(Mixin, nn.Module):
      size: int
    '''})
  made = {name.partition(':')[2] for name, item in found.classes.items() if item.is_dataclass}
  assert made == {'Config', 'State', 'Other', 'Tree', 'Net'}
  assert list(found.classes['net:Net'].fields) == ['size']
  assert list(found.classes['net:Mixin'].own_fields) == ['note']


def test_methods_and_decorators(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import functools
    import flax.linen as nn
    from flax.linen import compact as c

    class Base(nn.Module):
      def helper(self): pass

    class Net(Base):
      @nn.compact
      def __call__(self, x): pass
      @nn.nowrap
      def free(self): pass
      @property
      def size(self): return 1
      @size.setter
      def size(self, value): pass
      @staticmethod
      def still(): pass
      @classmethod
      def made(cls): pass
      @functools.partial(nn.remat, static_argnums=0)
      @c
      def other(self): pass
    '''})
  methods = found.classes['net:Net'].methods
  assert {name for name, item in methods.items() if item.compact} == {'__call__', 'other'}
  assert methods['free'].nowrap and methods['size'].is_property and len(methods['size'].node.args.args) == 1
  assert methods['still'].is_static and methods['made'].is_classmethod
  assert methods['other'].decorators == ('functools.partial', 'flax.linen.compact')
  assert methods['helper'].owner.name == 'net:Base'


def test_typed_and_aliased_bases(tmp_path):
  found = project(tmp_path, {
    'base.py': 'import flax.linen as nn\nfrom typing import Generic, TypeVar\nT = TypeVar("T")\n'
               'class Bar(nn.Module, Generic[T]): pass\nIntBar = Bar[int]\nRoot = nn.Module\n',
    'net.py': 'import base\nclass Foo(base.Bar[int]): pass\nclass Two(base.IntBar): pass\n'
              'class Three(base.Root): pass\n'})
  assert linen(found) == {'base:Bar', 'net:Foo', 'net:Two', 'net:Three'}
  assert found.classes['base:Bar'].bases == ('flax.linen.Module', 'typing.Generic')


def test_nested_local_and_repeated_classes(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import flax.linen as nn
    class Outer(nn.Module):
      class Inner(nn.Module): pass
    class Sub(Outer): pass
    class Deep(Sub.Inner): pass
    def make(size):
      class Local(nn.Module): pass
      return Local
    if size:
      class Choice(nn.Module): a: int
    else:
      class Choice(nn.Module): b: int
    '''})
  assert linen(found) == {'net:Outer', 'net:Outer.Inner', 'net:Sub', 'net:Deep', 'net:make.<locals>.Local',
                          'net:Choice', 'net:Choice#2'}
  assert found.classes['net:make.<locals>.Local'].in_function
  assert list(found.classes['net:Choice'].fields) == ['a']
  assert found.find_class('net:Sub.Inner').name == 'net:Outer.Inner'


def test_cyclic_bases_end(tmp_path):
  found = project(tmp_path, {
    'a.py': 'from b import B\nimport flax\nclass A(B, flax.linen.Module): pass\nclass Own(Own): pass\n',
    'b.py': 'from a import A\nclass B(A): pass\n'})
  assert linen(found) == {'a:A', 'b:B'}


def test_c3_order_and_its_absence(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import flax.linen as nn
    class O(nn.Module): pass
    class A(O): pass
    class B(O): pass
    class C(A, B): pass
    class X(A, B): pass
    class Y(B, A): pass
    class Impossible(X, Y): pass
    '''})
  order = [item.node.name for item in found.classes['net:C'].mro]
  assert order == ['C', 'A', 'B', 'O']
  assert found.classes['net:Impossible'].is_linen


def test_bases_that_cannot_be_followed_are_suspicious(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import flax.linen as nn
    import elsewhere
    Base = make(nn.Module)
    class Made(make_base(nn.Module)): pass
    class FromValue(Base): pass
    class Below(Made): pass
    class Compact(elsewhere.Thing):
      @nn.compact
      def __call__(self): pass
    class Plain: pass
    class Known(elsewhere.Thing): pass
    ''', 'plain.py': 'class Other(make()): pass\n# flax\n'})
  assert linen(found) == set()
  assert found.classes['net:Made'].bases == ('make_base(nn.Module)',)
  assert {item.message.partition(':')[2].partition(':')[0] for item in found.suspicious} == {
    'Made', 'FromValue', 'Below', 'Compact'}
  assert {item.line for item in found.suspicious} == {5, 6, 7, 8}


def test_functions_and_assignments(tmp_path):
  found = project(tmp_path, {'net.py': '''
    import flax
    SIZE = 3
    WIDTH = 1
    WIDTH = 2
    for LOOP in range(3): COUNT = LOOP
    COUNT = 0
    def helper(): pass
    ''', 'use.py': 'from net import helper, SIZE\n# flax\n'})
  module = found.modules['net']
  values = {name: ast.unparse(value) for name, value in module.assignments.items()}
  assert values == {'SIZE': '3', 'WIDTH': '2'}
  assert list(module.functions) == ['helper']
  name = found.resolve(found.modules['use'], 'helper')
  assert found.function(name) == (module, module.functions['helper'])
  assert ast.unparse(found.assignment(found.resolve(found.modules['use'], 'SIZE'))[1]) == '3'
