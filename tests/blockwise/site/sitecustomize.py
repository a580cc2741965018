"""For the workers of the engine's tests: makes engine_factories.py importable as if it were part of the package."""

from pathlib import Path

import lsd_experiments

lsd_experiments.__path__.append(str(Path(__file__).parent))
