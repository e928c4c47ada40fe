"""One file per paper, and the names that commands know them by."""

from collections.abc import Mapping
from types import MappingProxyType

from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.attention_regulation import AttentionRegulation
from adhere.methods.base import AttentionMethod, LatentMethod, Method, Step
from adhere.methods.divide_and_bind import DivideAndBind
from adhere.methods.token_reweighting import TokenReweighting

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {
        method.name: method
        for method in (AttendAndExcite, DivideAndBind, AttentionRegulation, TokenReweighting)
    }
)

__all__ = [
    "METHODS",
    "AttendAndExcite",
    "AttentionMethod",
    "AttentionRegulation",
    "DivideAndBind",
    "LatentMethod",
    "Method",
    "Step",
    "TokenReweighting",
]
