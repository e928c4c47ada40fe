"""Make text-to-image diffusion models adhere to the prompt, while they sample, untrained.

    with adhere.nurse(pipe, adhere.AttendAndExcite()) as trace:
        image = pipe(prompt).images[0]

Names are imported when they are first used, so that `import adhere` costs nothing; `__init__.pyi`
lists them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
