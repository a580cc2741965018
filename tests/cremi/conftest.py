from tests.families.pytc.conftest import one_thread  # noqa: F401
