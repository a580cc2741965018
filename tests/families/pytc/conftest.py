"""One thread; a small volume that may be sampled."""

import pytest

from lsd_experiments.families.pytc.samples import open_sources
from tests.families.pytc.small import volumes
from tests.one_thread import one_thread  # noqa: F401


@pytest.fixture
def source(tmp_path):
    (image, labels, _), *_ = volumes(tmp_path)
    return open_sources([image], [labels], normalize=False)[0]
