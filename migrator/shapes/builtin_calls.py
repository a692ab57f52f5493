"""Built-in functions and the methods of lists, dicts and strings."""

from __future__ import annotations

import ast
from typing import Any

from . import oracle
from .containers import Iterated, SymbolicRange, join_elements
from .expressions import as_size, attribute, expression_symbol
from .joins import elements
from .symbols import SymbolInfo
from .values import (
  Alternatives,
  Array,
  ClassRef,
  Closure,
  External,
  Instance,
  Late,
  Opaque,
  Repeated,
  Unknown,
  Value,
  contains,
  first_unknown,
)

# Functions whose result is taken for a whole number, where the arguments are sizes.
_WHOLE = ('int', 'round', 'max', 'min', 'prod', 'ceil', 'clip', 'minimum', 'maximum')


def builtin(
  it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any
) -> Value:
  """Returns the value of a call of a built-in function."""
  handler = _BUILTINS.get(name)
  if handler is not None:
    return handler(it, args, kwargs, node, frame)
  return static_call(it, f'builtins.{name}', args, kwargs, node)


def static_call(
  it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  """Calls a function of the standard library or NumPy on values that are no arrays."""
  unknown = first_unknown((*args, *kwargs.values()))
  if unknown is not None:
    return unknown
  everything = (*args, *kwargs.values())
  if contains(everything, Late):
    return Late(
      frozenset().union(*(value.names for value in everything if isinstance(value, Late))), ast.unparse(node)
    )
  short = name.rsplit('.', 1)[-1]
  if short == 'str' and any(oracle.is_symbolic(value) for value in _flat(args)):
    return Opaque(ast.unparse(node), 'str')
  if contains(everything, Opaque):
    if short in (*_WHOLE, 'floor', 'sum', 'abs', 'len', 'log2'):
      sizes = tuple(as_size(it, value) for value in args)
      if short in ('max', 'min', 'abs') and all(oracle.is_dim(value) for value in sizes):
        args = sizes
      else:
        return expression_symbol(it, node) if short != 'log2' else Opaque(ast.unparse(node), 'float')
    else:
      return Opaque(
        ast.unparse(node), {'float': 'float', 'bool': 'bool', 'str': 'str', 'sqrt': 'float'}.get(short, 'any')
      )
  try:
    result = oracle.find(name)(
      *map(oracle.to_object, args), **{key: oracle.to_object(value) for key, value in kwargs.items()}
    )
  except Exception:
    if any(oracle.is_symbolic(value) for value in _flat(args)):
      return (
        expression_symbol(it, node)
        if short in _WHOLE
        else Opaque(ast.unparse(node), 'float')
      )
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)
  return _plain(result)


def _flat(values: Any) -> Any:
  for value in values:
    if isinstance(value, (tuple, list)):
      yield from _flat(value)
    else:
      yield value


def _plain(result: Any) -> Value:
  if hasattr(result, 'shape') and hasattr(result, 'dtype'):
    if result.shape == ():
      return result.item() if hasattr(result, 'item') else result
    return (
      Array(tuple(result.shape), str(result.dtype))
      if str(result.dtype) != 'object'
      else Unknown('an array of sizes')
    )
  return result


def _len(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  value = args[0]
  if isinstance(value, (tuple, list, dict, str, range)):
    return len(value)
  if isinstance(value, Array) and value.shape:
    return value.shape[0]
  if isinstance(value, Opaque) and value.source:
    text = f'len({value.source})'
    return it.table.new(
      text, SymbolInfo('field' if value.source.startswith('self.') else 'local', source=text)
    )
  if isinstance(value, Unknown):
    return value
  return Opaque(ast.unparse(node), 'int')


def _range(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  unknown = first_unknown(args)
  if unknown is not None:
    return unknown
  sizes = tuple(as_size(it, arg) for arg in args)
  if all(isinstance(size, int) for size in sizes):
    return range(*sizes)
  return SymbolicRange(sizes)


def _enumerate(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  value = args[0]
  if isinstance(value, Unknown):
    return value
  if isinstance(value, (tuple, list)):
    return [(index, item) for index, item in enumerate(value)]
  return Iterated((range(0), value))


def _zip(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  unknown = next((arg for arg in args if isinstance(arg, Unknown)), None)
  if unknown is not None:
    return unknown
  if args and all(isinstance(arg, (tuple, list, range)) for arg in args):
    return list(zip(*args))
  return Iterated(tuple(args))


def _sequence(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  if not args:
    return [] if ast.unparse(node.func) == 'list' else ()
  value = args[0]
  kind = tuple if ast.unparse(node.func) == 'tuple' else list
  if isinstance(value, (tuple, list, range)):
    return kind(value)
  if isinstance(value, dict):
    return kind(value)
  return value


def _reversed(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  value = args[0]
  if isinstance(value, (tuple, list, range)):
    return list(reversed(value))
  if isinstance(value, Opaque):
    return Opaque(ast.unparse(node), 'sequence', element=value.element)
  return value


def _isinstance(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  value, kind = args[0], args[1] if len(args) > 1 else None
  names = [
    item.name.rsplit('.', 1)[-1]
    for item in (kind if isinstance(kind, tuple) else (kind,))
    if isinstance(item, External)
  ]
  if isinstance(value, Array) and names and not any(name in ('ndarray', 'Array') for name in names):
    return False
  if isinstance(value, (Instance, Closure, External)) and len(args) == 2:
    decided = _module_kind(value, kind if isinstance(kind, tuple) else (kind,))
    if decided is not None:
      return decided
  for types, labels in (
    (bool, ('bool', 'int')),
    (int, ('int',)),
    (float, ('float',)),
    (str, ('str',)),
    (tuple, ('tuple', 'Sequence')),
    (list, ('list', 'Sequence')),
    (dict, ('dict', 'Mapping')),
  ):
    if isinstance(value, types):
      return any(label in names for label in labels) if names else Opaque(ast.unparse(node), 'bool')
  if oracle.is_symbolic(value) and names:
    return 'int' in names
  return Opaque(ast.unparse(node), 'bool')


def _module_kind(value: Instance | Closure | External, kinds: tuple[Value, ...]) -> bool | None:
  """Tells whether a module or a function is of one of the classes; None if a class is not known."""
  if not all(isinstance(kind, ClassRef) or isinstance(kind, External) for kind in kinds):
    return None
  linen = [kind.name for kind in kinds if isinstance(kind, External)]
  if not all(name.startswith('flax.linen.') for name in linen):
    return None
  if not isinstance(value, Instance):
    return False
  if 'flax.linen.Module' in linen:
    return True
  if value.layer is not None:
    return value.layer in linen
  if value.source is None:
    return None
  own = {base.name for base in value.source.mro}
  return any(isinstance(kind, ClassRef) and kind.source.name in own for kind in kinds) or bool(
    set(linen) & set(value.source.foreign_bases)
  )


# Libraries that programs choose an activation from by its name.
_FUNCTIONS_OF_ONE_ARRAY = ('flax.linen', 'jax.nn', 'jax.numpy', 'flax.nnx')


def _getattr(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  if len(args) >= 2 and isinstance(args[1], str):
    found = attribute(it, args[0], args[1], node, frame)
    return args[2] if isinstance(found, Unknown) and len(args) > 2 else found
  if frame.subject and it.recording and isinstance(args[0], Instance):
    it.record.refusals.append((node.lineno, 'getattr on self with a computed name'))
  if args and isinstance(args[0], External) and args[0].name in _FUNCTIONS_OF_ONE_ARRAY:
    return Opaque(ast.unparse(node), 'callable')
  return Unknown(f'{ast.unparse(node)}: the attribute name is computed', node.lineno)


def _hasattr(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  if len(args) == 2 and isinstance(args[0], Instance) and isinstance(args[1], str) and args[0].source:
    found = attribute(it, args[0], args[1], node, frame)
    if isinstance(found, Unknown):
      return False
    always = args[1] in args[0].source.methods or args[1] in args[0].fields
    return True if always else Opaque(ast.unparse(node), 'bool')
  return Opaque(ast.unparse(node), 'bool')


def _setattr(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  if frame.subject and it.recording:
    it.record.refusals.append((node.lineno, 'setattr on self'))
  return None


def _dict(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, frame: Any) -> Value:
  base: dict[Any, Value] = {}
  if args and isinstance(args[0], dict):
    base.update(args[0])
  elif args:
    return Opaque(ast.unparse(node), 'object')
  return {**base, **kwargs}


def _nothing(it: Any, args: Any, kwargs: Any, node: ast.Call, frame: Any) -> Value:
  return None


def _type(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  return (
    ClassRef(args[0].source)
    if args and isinstance(args[0], Instance) and args[0].source
    else Opaque(ast.unparse(node))
  )


def _sum(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  if args and isinstance(args[0], (tuple, list)) and args[0] and contains(args[0], Array):
    from .operators import binary

    total = args[0][0]
    for item in args[0][1:]:
      total = binary(it, ast.Add, total, item, node)
    return total
  if args and isinstance(args[0], Repeated):
    return args[0].element
  return static_call(it, 'builtins.sum', args, kwargs, node)


def _callable(it: Any, args: tuple[Value, ...], kwargs: Any, node: ast.Call, frame: Any) -> Value:
  return (
    Opaque(ast.unparse(node), 'bool')
    if isinstance(args[0], Opaque)
    else not isinstance(args[0], (int, float, str, tuple, list))
  )


_BUILTINS = {
  'len': _len,
  'range': _range,
  'enumerate': _enumerate,
  'zip': _zip,
  'list': _sequence,
  'tuple': _sequence,
  'reversed': _reversed,
  'isinstance': _isinstance,
  'getattr': _getattr,
  'hasattr': _hasattr,
  'setattr': _setattr,
  'dict': _dict,
  'print': _nothing,
  'type': _type,
  'sum': _sum,
  'callable': _callable,
  'sorted': _sequence,
  'iter': _sequence,
}


def container_method(
  it: Any, owner: Value, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  """Returns the value of a method call on a list, dict, string or another plain value."""
  if isinstance(owner, list):
    return _list_method(owner, name, args, node)
  if isinstance(owner, Repeated):
    return _repeated_method(it, owner, name, args, node)
  if isinstance(owner, dict):
    return _dict_method(it, owner, name, args, kwargs, node)
  if isinstance(owner, str) and all(isinstance(arg, (str, int, float, tuple, list)) for arg in args):
    try:
      return getattr(owner, name)(*args, **kwargs)
    except Exception:
      return Opaque(ast.unparse(node), 'str')
  if isinstance(owner, str):
    return Opaque(ast.unparse(node), 'str')
  if isinstance(owner, tuple) and name in ('index', 'count'):
    return Opaque(ast.unparse(node), 'int')
  return Unknown(f'.{name} of {type(owner).__name__} is not followed', node.lineno)


def _list_method(owner: list[Value], name: str, args: tuple[Value, ...], node: ast.Call) -> Value:
  if name == 'append' and args:
    owner.append(args[0])
    return None
  if name == 'extend' and args and isinstance(args[0], (tuple, list)):
    owner.extend(args[0])
    return None
  if name == 'insert' and len(args) == 2 and isinstance(args[0], int):
    owner.insert(args[0], args[1])
    return None
  if name == 'pop':
    index = args[0] if args else -1
    if owner and isinstance(index, int) and -len(owner) <= index < len(owner):
      return owner.pop(index)
    return Unknown('pop from a list whose content is not known', node.lineno)
  if name == 'reverse':
    owner.reverse()
    return None
  if name == 'copy':
    return list(owner)
  return Unknown(f'list.{name} is not followed', node.lineno)


def _repeated_method(it: Any, owner: Repeated, name: str, args: tuple[Value, ...], node: ast.Call) -> Value:
  if name in ('append', 'insert') and args:
    item = args[-1]
    if not any(item is old for old in owner.items):
      owner.items = (*owner.items, item)
      owner.element = (
        join_elements(it, [owner.element, item], node) if not isinstance(owner.element, Unknown) else item
      )
    return None
  if name == 'pop':
    return owner.element
  return None if name in ('reverse', 'extend') else Unknown(f'list.{name} is not followed', node.lineno)


def _dict_method(
  it: Any,
  owner: dict[Any, Value],
  name: str,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: ast.Call,
) -> Value:
  if name in ('get', 'pop', 'setdefault') and args and isinstance(args[0], str):
    if args[0] in owner:
      return owner.pop(args[0]) if name == 'pop' else owner[args[0]]
    default = args[1] if len(args) > 1 else None
    if name == 'setdefault':
      owner[args[0]] = default
    return default if '**' not in owner else Opaque(ast.unparse(node), 'any')
  if name == 'items':
    return list(owner.items())
  if name == 'keys':
    return list(owner)
  if name == 'values':
    return list(owner.values())
  if name == 'update':
    if args and isinstance(args[0], dict):
      owner.update(args[0])
    owner.update(kwargs)
    return None
  if name == 'copy':
    return dict(owner)
  if '*' in owner:
    return join_elements(it, list(owner.values()), node)
  return Unknown(f'dict.{name} is not followed', node.lineno)


__all__ = ['Alternatives', 'builtin', 'container_method', 'elements', 'static_call']
