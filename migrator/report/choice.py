"""What --select and --ignore mean: codes of findings, and patterns of classes."""
from __future__ import annotations

from collections.abc import Sequence

from migrator.failure import Failure
from migrator.report.findings import CODES


def split_words(words: Sequence[str], option: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Sorts the words of an option into codes of findings and patterns of classes.

  Args:
    words: what was given, each a list with commas.
    option: the name of the option, for messages.

  Returns:
    (codes, patterns), each in the order given.

  Raises:
    Failure: a word is neither; codes are in small letters with a hyphen or one word of `CODES`.
  """
  given = [word.strip() for text in words for word in text.split(',') if word.strip()]
  codes = tuple(word for word in given if word in CODES)
  patterns = tuple(word for word in given if word not in CODES)
  for word in patterns:
    if not all(part.isidentifier() or set(part) & set('*?[') for part in word.replace(':', '.').split('.')):
      raise Failure(f'{option} {word}: give a class (ViT, zoo.vit:ViT, zoo.*:*), or a code of findings: {", ".join(CODES)}')
  return codes, patterns


def hidden_codes(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
  """Returns the codes whose findings are neither shown nor counted; errors have other codes and always are."""
  unselected = set(CODES) - set(select) if select else set()
  return frozenset(unselected | set(ignore))
