"""What the Linen side gives for extra inputs."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from migrator.equivalence.extra_inputs import RESHAPED
from migrator.equivalence.models import arrays_of, moved_by_rounding
from migrator.equivalence.protocol import Path, in_group


def extra_outputs(run: Callable[[Any, Any], Any], variables: Any, inputs: Mapping[str, Any], moved: Sequence[str],
                  draws: bool) -> dict[Path, np.ndarray]:
  """Returns the output for every kind of extra inputs, in a group of its name; 'kind, word' for moved numbers.

  A kind that the model refuses (another length, where a weight has the length) is left out.

  Args:
    run: gives the output.  draws: it draws random keys; how many may depend on the shape, so shapes stay.
  """
  found: dict[Path, np.ndarray] = {}
  for kind, arrays in inputs.items():
    if draws and kind in RESHAPED:
      continue
    try:
      found |= in_group(kind, arrays_of(run(variables, arrays)))
    # The user's model decides what it takes, with any exception.
    except Exception:
      continue
    for word in moved:
      near = moved_by_rounding((variables, tuple(arrays)), word)
      found |= in_group(f'{kind}, {word}', arrays_of(run(*near)))
  return found
