"""One thread for each process of the tests: toy tensors are too small to be shared out."""

import os

# Before torch is imported; the programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings  # noqa: E402

# On a machine that is busy an example may take long, and is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
