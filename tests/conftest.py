"""Settings of the whole suite: JAX on the CPU, compiled programs kept between runs."""
from __future__ import annotations

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _compilation_cache() -> pathlib.Path:
  chosen = os.environ.get('LINEN2NNX_TEST_CACHE')
  return pathlib.Path(chosen) if chosen else ROOT / '.cache' / 'jax'


# Environment, not jax.config: it reaches the processes that tests start, and imports nothing.
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_compilation_cache()))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.2')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '0')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
