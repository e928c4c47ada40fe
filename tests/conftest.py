"""The order of the suite."""


def pytest_collection_modifyitems(items):
    """Compiler tests first: they need a process in which nothing else has run yet."""
    items.sort(key=lambda item: item.path.name != "test_engine_limits.py")
