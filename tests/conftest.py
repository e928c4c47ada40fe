"""One thread for each process of the tests: toy tensors are too small to be shared out."""

import os

# Before torch is imported; the programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
