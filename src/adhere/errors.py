"""The exceptions that `adhere` raises by name.

Every message says what was got, what was expected and what to do, in one or two sentences.
"""


class AdhereError(Exception):
    """Base of every named error of this library."""


class SubjectNotFound(AdhereError):
    """No subject, or not the one that was named, is among the tokens of the prompt."""


class UnsupportedPipeline(AdhereError):
    """The pipeline, or a switch that is on in it, cannot be nursed."""


class NoAttentionRecorded(AdhereError):
    """A layer that the method reads never called `scaled_dot_product_attention`."""


class AlreadyNursed(AdhereError):
    """The pipeline is inside another `nurse` block."""


class NonFiniteLoss(AdhereError):
    """The loss, its gradient or the latents became NaN or infinite."""
