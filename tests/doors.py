"""What the tests of drawing and of the command share: toy pipelines in folders."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import toys

PROMPT = "a cat and a frog"


@cache
def saved(kind="sd"):
    """The folder of a toy pipeline, written once; copy it before changing it."""
    folder = Path(mkdtemp(prefix="adhere-toy-")) / kind
    getattr(toys, kind)().save_pretrained(folder)
    return folder


def copied(target):
    """A copy of the toy's folder that may be broken."""
    return Path(shutil.copytree(saved(), target / "model"))
