"""From the words of the command line to methods, models and the arguments of `draw`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from adhere.drawing import DEFAULT_METHOD
from adhere.drawing.loading import DTYPES, MINI, SCHEDULERS, Loaded, load
from adhere.drawing.stated import method_named
from adhere.errors import unknown
from adhere.methods import Method, with_parameters

BATCH_SIZE = 4
STEPS = 50


def chosen_methods(arguments: argparse.Namespace) -> list[Method]:
    """The methods asked for, with their parameters; none for a plain picture.

    Raises:
        ValueError: an unknown method or parameter, or one that two methods have.
    """
    names = arguments.method or [DEFAULT_METHOD]
    if arguments.plain or names == ["none"]:
        names = []
    if arguments.official and not names:
        raise ValueError("Got --official, but no method to have an official form; leave it out.")
    check_once(names)
    if "none" in names:
        raise ValueError(
            f"Got the methods {', '.join(names)}; none goes with no other: leave it out, or give "
            "it alone for a plain picture."
        )
    model = arguments.model or MINI
    methods = [method_named(name, official=arguments.official, model=model) for name in names]
    for said, text in arguments.settings:
        number, name = _owner(methods, said, arguments.options)
        methods[number] = with_parameters(methods[number], {name: text})
    return methods


def chosen_model(arguments: argparse.Namespace) -> Loaded:
    """The model asked for, loaded.

    Raises:
        ValueError: see `adhere.drawing.loading.load`; or an unknown scheduler, before loading.
    """
    if arguments.scheduler is not None and arguments.scheduler not in SCHEDULERS:
        raise unknown("scheduler", arguments.scheduler, SCHEDULERS)
    if arguments.dtype is not None and arguments.dtype not in DTYPES:
        raise unknown("dtype", arguments.dtype, DTYPES)
    hush(arguments.debug)
    return load(arguments.model or MINI, dtype=arguments.dtype, device=arguments.device)


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `draw` that the command line gives, besides method and model."""
    return {
        "subjects": arguments.subjects,
        "seeds": arguments.seeds or (0,),
        "steps": arguments.steps or STEPS,
        "guidance_scale": arguments.guidance_scale,
        "negative_prompt": arguments.negative_prompt or "",
        "size": arguments.size,
        "scheduler": arguments.scheduler,
        "batch_size": arguments.batch_size or BATCH_SIZE,
    }


def check_once(names: Sequence[str]) -> None:
    """Refuses methods of which one is named twice: options could not tell the two apart.

    Raises:
        ValueError: one is.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Got the method {twice} twice; name it once.")


def hush(debug: bool) -> None:
    """Keeps other libraries from talking, unless debugging."""
    if debug:
        return
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _owner(methods: list[Method], said: str, options: Sequence[str]) -> tuple[int, str]:
    """Which method has a parameter, and the parameter's name."""
    prefix, _, name = said.rpartition(".")
    prefix = prefix.replace("_", "-")
    if not methods:
        raise ValueError(f"Got {_option(said)}, but no method to have it; leave it out.")
    candidates = [n for n, m in enumerate(methods) if prefix in ("", m.name)]
    if not candidates:
        chosen = " and ".join(m.name for m in methods)
        raise ValueError(
            f"Got {_option(said)}, but the method is {chosen}; add {prefix} to --method, or leave "
            "the option out."
        )
    known = {n: [field.name for field in fields(methods[n])] for n in candidates}  # type: ignore[arg-type]
    owners = [n for n in candidates if name in known[n]]
    if not owners:
        kind = " and ".join(methods[n].name for n in candidates)
        there = [_option(field) for own in known.values() for field in own]
        raise unknown(f"option or parameter of {kind}", _option(said), there, also=options)
    if len(owners) > 1:
        ways = " or ".join(f"--{methods[n].name}.{_option(name)[2:]}" for n in owners)
        raise ValueError(f"Got {_option(said)}, which two methods have; say {ways}.")
    return owners[0], name


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
