"""Outputs of the published programs, beside the checkout; not everybody has them."""

from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parents[2] / "shared/fixtures/published"
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published programs' outputs are not here")
