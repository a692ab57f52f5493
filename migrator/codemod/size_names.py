"""Constructor arguments for the sizes of call arguments: what they are called, and the placeholders they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from migrator.manifest import SizeArgument

from .plan import ClassPlan
from .sizes import PLACEHOLDER, InputAxis


class SizeNames:
  """Decides for every call argument whether its features or its whole shape is asked for, and by what name.

  inherited: size arguments that the constructor hands to a base, by name.
  asked: the axes whose sizes the constructor needs; absent: call arguments that may not be given, with their method.
  body: lines of the constructor, whose variables are not hidden.
  """

  def __init__(
    self,
    plan: ClassPlan,
    inherited: Mapping[str, SizeArgument],
    asked: Iterable[InputAxis],
    absent: set[tuple[str, str]],
    body: list[str],
  ) -> None:
    self.plan = plan
    self.inherited = inherited
    self.absent = absent
    self.names: dict[tuple[str, str], tuple[str, bool]] = {}
    self.taken = set(plan.source.fields) | _bound_names(body)
    self.axes: dict[tuple[str, str], list[InputAxis]] = {}
    for axis in asked:
      self.axes.setdefault((axis.method, axis.argument), []).append(axis)
    for place, axes in self.axes.items():
      whole = any(axis.axis != -1 for axis in axes)
      self.names[place] = (self._name(*place, whole), whole)

  def _name(self, method: str, argument: str, whole: bool) -> str:
    features = 'in_features' if len(self.axes) == 1 and self._arrays(method) <= 1 else f'{argument}_features'
    name = f'{argument}_shape' if whole else features
    known = self.inherited.get(name)
    if known is not None and (known.method, known.argument) != (method, argument):
      name = f'{argument}_features'
    while name in self.taken:
      name = f'input_{name}'
    self.taken.add(name)
    return name

  def _arrays(self, method: str) -> int:
    listed = self.plan.analysis.parameters.get(method, [])
    return sum(parameter.role in ('array', 'optional') for parameter in listed)

  def arguments(self, unknown: Mapping[str, SizeArgument]) -> list[SizeArgument]:
    """Returns all size arguments of the class; where they come from goes into `plan.size_texts`.

    unknown: sizes that nothing in the source tells, by name.
    """
    found = dict(self.inherited)
    for (method, argument), (name, whole) in self.names.items():
      if name not in found:
        axis = None if whole else -1
        found[name] = SizeArgument(name, method, argument, axis, (method, argument) in self.absent)
        self.plan.size_texts[name] = f'{argument}.shape' if whole else f'{argument}.shape[-1]'
    self.plan.size_texts |= dict.fromkeys(unknown, 'asked for: nothing in the source tells it')
    return [*found.values(), *(item for name, item in unknown.items() if name not in self.inherited)]

  def put(self, text: str, indent: str) -> str:
    """Returns the text of the class with the names in place of the placeholders.

    indent: of the constructor's statements; a variable that has the name of its size argument needs no line there.
    """
    written = PLACEHOLDER.sub(self._put, text)
    names = '|'.join(name for name, whole in self.names.values() if not whole)
    return re.sub(rf'^{indent}({names}) = \1\n', '', written, flags=re.MULTILINE) if names else written

  def _put(self, match: re.Match[str]) -> str:
    method, argument, axis = match.group(1), match.group(2), match.group(3)
    name, whole = self.names[(method, argument)]
    part = {'all': '', 'leading': '[:-1]'}.get(axis, f'[{axis}]')
    if axis.startswith('from'):
      part = f'[{axis.removeprefix("from")}:]'
    return f'{name}{part}' if whole else name


def _bound_names(body: list[str]) -> set[str]:
  """Returns the variables of the constructor; one that only repeats a size argument is none."""
  names: set[str] = set()
  for line in '\n'.join(body).split('\n'):
    assigned = re.match(r'\s*(?:for )?([A-Za-z_]\w*(?:, *[A-Za-z_]\w*)*)(?: [-+*/]*= | in )(.*)', line)
    if assigned and not PLACEHOLDER.fullmatch(assigned.group(2)):
      names |= set(re.split(r', *', assigned.group(1)))
  return names
