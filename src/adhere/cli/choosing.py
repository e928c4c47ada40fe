"""From the words of the command line to methods and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from adhere.typed import typed

if TYPE_CHECKING:
    from adhere.drawing.loading import Loaded
    from adhere.methods import Method


@typed
class Chosen:
    """What nurses.

    Attributes:
        method: the name of a method, once for each: one may move latents, others edit attention;
            none for an image without nursing. Without it, emergent-layout.
        set: a method's parameter, as in step_size=10 or refine_at=0:0.05,0.2:0.5, once for each;
            METHOD.NAME=VALUE where two methods have it. `adhere methods` lists them.
        official: the behaviour of the authors' code where it differs.
        baseline: no method, as `--method none`.
        calibrated: the parameters that `adhere calibrate` found for the model.
    """

    method: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    official: bool = False
    baseline: bool = False
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.baseline and (self.method or self.set or self.official):
            raise ValueError(
                "--baseline draws without a method; leave out --method, --set and --official."
            )
        if self.calibrated and (self.baseline or self.official):
            raise ValueError("--calibrated goes with neither --baseline nor --official; give one.")


@typed
class Source:
    """What draws, and on what machine.

    Attributes:
        model: mini or mini-joint (bundled), a folder in diffusers' layout, or a hub id such as
            owner/name@revision.
        dtype: float32, bfloat16 or float16; float16 on a GPU without it, else float32.
        device: cpu, cuda, cuda:1 or mps; a GPU without it, where there is one.
    """

    model: str = "mini"
    dtype: str | None = None
    device: str | None = None


def chosen_methods(chosen: Chosen, model: str | Loaded) -> list[Method]:
    """The methods asked for, with their parameters; none for an image without nursing.

    Args:
        chosen: what nurses.
        model: what is nursed; loaded, where calibrated parameters are wanted.

    Raises:
        ValueError: an unknown method or parameter, or one that two methods have.
    """
    from adhere.drawing import DEFAULT_METHOD
    from adhere.drawing.stated import method_named
    from adhere.methods import with_parameters

    names = [name.strip() for text in chosen.method for name in text.split(",")]
    names = names or [DEFAULT_METHOD]
    if chosen.baseline or names == ["none"]:
        names = []
    if chosen.official and not names:
        raise ValueError("Got --official, but no method to have an official form; leave it out.")
    check_once(names)
    if "none" in names:
        raise ValueError("`none` cannot be combined with other methods; give it alone.")
    if chosen.calibrated:
        from adhere.tuning.calibration import calibrated

        methods = [calibrated(name, model) for name in names]
    else:
        name_of = model if isinstance(model, str) else model.source.name
        methods = [method_named(name, official=chosen.official, model=name_of) for name in names]
    given: list[dict[str, str]] = [{} for _ in methods]
    for setting in chosen.set:
        said, is_value, text = setting.partition("=")
        if not is_value:
            raise ValueError(f"Got --set {setting!r}; give NAME=VALUE, as in step_size=10.")
        number, name = _owner(methods, said.strip())
        if name in given[number]:
            raise ValueError(f"--set gives {name} twice; give it once.")
        given[number][name] = text
    both = zip(methods, given, strict=True)
    return [with_parameters(own, new) if new else own for own, new in both]


def chosen_model(source: Source, scheduler: object = None) -> Loaded:
    """The model asked for, loaded.

    Raises:
        ValueError: see `adhere.drawing.loading.load`; or an unknown scheduler, before loading.
    """
    from adhere.drawing.loading import load
    from adhere.drawing.schedulers import SCHEDULERS
    from adhere.errors import unknown

    if scheduler is not None and scheduler not in SCHEDULERS:
        raise unknown("scheduler", str(scheduler), SCHEDULERS)
    hush()
    return load(source.model, dtype=source.dtype, device=source.device)


def chosen_both(
    chosen: Chosen, source: Source, scheduler: object = None
) -> tuple[list[Method], Loaded]:
    """The methods and the model asked for.

    Methods are refused before the model is loaded, but for calibrated ones, which ask for it.

    Raises:
        ValueError: see `chosen_methods` and `chosen_model`.
    """
    if chosen.calibrated:
        model = chosen_model(source, scheduler)
        return chosen_methods(chosen, model), model
    methods = chosen_methods(chosen, source.model)
    return methods, chosen_model(source, scheduler)


def options_of(sampling: object) -> dict[str, Any]:
    """Sampling as arguments of `draw`."""
    return {one.name: getattr(sampling, one.name) for one in fields(sampling)}  # type: ignore[arg-type]


def check_once(names: Sequence[str]) -> None:
    """Refuses methods of which one is named twice: options could not tell the two apart.

    Raises:
        ValueError: one is.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Got the method {twice} twice; name it once.")


def hush() -> None:
    """Keeps other libraries from talking."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _owner(methods: list[Method], said: str) -> tuple[int, str]:
    """Which method has a parameter, and the parameter's name."""
    from adhere.errors import unknown

    prefix, _, name = said.rpartition(".")
    name = name.replace("-", "_")
    if not methods:
        raise ValueError(f"Got --set {said}, but no method to have it; leave it out.")
    candidates = [n for n, m in enumerate(methods) if prefix in ("", m.name)]
    if not candidates:
        chosen = " and ".join(m.name for m in methods)
        raise ValueError(
            f"Got --set {said}, but the method is {chosen}; add --method {prefix}, or leave "
            "it out."
        )
    known = {n: [field.name for field in fields(methods[n])] for n in candidates}  # type: ignore[arg-type]
    owners = [n for n in candidates if name in known[n]]
    if not owners:
        kind = " and ".join(methods[n].name for n in candidates)
        raise unknown(f"parameter of {kind}", name, [p for own in known.values() for p in own])
    if len(owners) > 1:
        ways = " or ".join(f"--set {methods[n].name}.{name}=VALUE" for n in owners)
        raise ValueError(f"Got --set {name}, which two methods have; say {ways}.")
    return owners[0], name
