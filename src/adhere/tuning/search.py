"""A search for the parameters of a method, on prompts and seeds that are set apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adhere import draw
from adhere.drawing.loading import Loaded
from adhere.errors import AdhereError
from adhere.evaluation.scorers import Scorer
from adhere.evaluation.sets.prompt import Prompt
from adhere.evaluation.statistics import differences, estimate
from adhere.methods import Method, make, parameters_of, with_parameters
from adhere.nursing.checks import check_needs
from adhere.subjects import find_subjects
from adhere.tuning.probe import CALIBRATED
from adhere.typed import NonNegative, PositiveCount, schema, typed

if TYPE_CHECKING:
    import optuna

SETTINGS = "settings"


@typed
class Split:
    """Prompts and seeds.

    Attributes:
        prompts: what is drawn.
        seeds: of each prompt.
    """

    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]


@typed
class Search:
    """All that the result of a search depends on.

    Attributes:
        method: the name of the method.
        parameters: those that are searched, see `space`.
        validation: what chooses; at least two prompts.
        metric: of the scorer, the higher the better.
        cost_weight: what a pass of nursing, forward or backward, for each pass of the pipeline
            costs in units of the metric.
        steps: of sampling.
        trials: how many settings are tried, the defaults first.
        seed: of the search.
    """

    method: str
    parameters: tuple[str, ...]
    validation: Split
    metric: str = "all-present"
    cost_weight: NonNegative = 0.05
    steps: PositiveCount = 25
    trials: PositiveCount = 20
    seed: int = 0

    def __post_init__(self) -> None:
        count = len(self.validation.prompts)
        if count < 2:
            raise ValueError(
                f"The validation split has {count} prompt{'s' * (count != 1)}; a search needs at "
                "least 2, or it fits one prompt."
            )
        names = self.parameters
        if not self.validation.seeds or not names or len({*names}) < len(names):
            raise ValueError(
                f"Got {len(self.validation.seeds)} seeds and the parameters {list(names)}; a "
                "search needs one of each at least, and no parameter twice."
            )
        space(make(self.method), self.parameters)


@dataclass(frozen=True)
class Score:
    """What a method reaches on a split.

    Attributes:
        values: the metric, (prompts, seeds), NaN where the scorer says nothing.
        cost: passes of nursing, forward and backward, for each pass of the pipeline.
    """

    values: np.ndarray
    cost: float

    @property
    def mean(self) -> float:
        """Over all images of which the scorer says something; NaN where there are none."""
        said = self.values[np.isfinite(self.values)]
        return float(said.mean()) if said.size else np.nan


Draw = Callable[[Method | None, Split], Score]


def space(method: Method, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """What is searched for each parameter, from its default's type.

    Numbers above 0 are searched from a tenth of their default to ten times that or the most that
    they take, switches both ways, and each threshold of `refine_at`-like pairs from a tenth to
    ten times its own.

    Returns:
        Name to ("float", low, high), ("int", low, high), ("switch",) or ("pairs", places, low
        and high of each).

    Raises:
        ValueError: no such parameter, or one that cannot be searched.
    """
    own, can, found = parameters_of(method), searchable(method), {}
    for name in names:
        if name not in own:
            with_parameters(method, {name: 0})
        if name not in can:
            raise ValueError(
                f"The parameter {name!r} of {method.name} is {own[name]!r}, which cannot be "
                f"searched; give some of {', '.join(can)}."
            )
        found[name] = can[name]
    return found


def searchable(method: Method) -> dict[str, tuple[Any, ...]]:
    """What `space` gives for each parameter that it takes."""
    fields = schema(type(method))["properties"]
    found: dict[str, tuple[Any, ...]] = {}
    for name, value in parameters_of(method).items():
        most = fields[name].get("maximum", fields[name].get("exclusiveMaximum", np.inf))
        is_pairs = isinstance(value, list) and value and all(isinstance(v, list) for v in value)
        if isinstance(value, bool):
            found[name] = ("switch",)
        elif isinstance(value, int) and value > 0:
            found[name] = ("int", max(1, value // 10), min(10 * value, most))
        elif isinstance(value, float) and value > 0:
            found[name] = ("float", value / 10, min(10 * value, most))
        elif is_pairs:
            places, levels = zip(*value, strict=True)  # type: ignore[arg-type]
            if min(levels) > 0:
                found[name] = ("pairs", places, tuple((one / 10, one * 10) for one in levels))
    return found


def usual(method: Method) -> tuple[str, ...]:
    """Those of `CALIBRATED` that can be searched; what is searched where none are named.

    Raises:
        ValueError: none of them can.
    """
    can = searchable(method)
    found = tuple(name for name in CALIBRATED if name in can)
    if not found:
        raise ValueError(
            f"{method.name} has none of {', '.join(CALIBRATED)} to search; give --parameters with "
            f"some of {', '.join(can)}."
        )
    return found


def check_read(method: Method, model: Loaded, prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that the method cannot nurse, before anything is drawn.

    Raises:
        ValueError: the first of them, with the reason.
    """
    for prompt in prompts:
        try:
            check_needs([method], find_subjects(model.pipe, prompt.text), prompt.text)
        except AdhereError as error:
            raise ValueError(
                f"The prompt {prompt.id!r}, {prompt.text[:60]!r}, cannot be searched on; leave it "
                f"out of the set. {error}"
            ) from None


def suggested(trial: optuna.Trial, kinds: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The parameters that a trial tries."""
    found: dict[str, Any] = {}
    for name, (kind, *limits) in kinds.items():
        if kind == "switch":
            found[name] = trial.suggest_categorical(name, [False, True])
        elif kind == "int":
            found[name] = trial.suggest_int(name, *limits, log=True)
        elif kind == "float":
            found[name] = trial.suggest_float(name, *limits, log=True)
        else:
            places, ranges = limits
            found[name] = [
                (at, trial.suggest_float(f"{name}@{at:g}", low, high, log=True))
                for at, (low, high) in zip(places, ranges, strict=True)
            ]
    return found


def drawer(model: Loaded, scorer: Scorer, metric: str, steps: int) -> Draw:
    """From a method and a split to what the scorer says of its images.

    Raises:
        ValueError: the scorer has no such metric, or less of it is better.
    """
    names = [one.name for one in scorer.metrics if one.higher_is_better]
    if metric not in names:
        raise ValueError(
            f"The scorer has no metric {metric!r} of which more is better; it has "
            f"{', '.join(names)}."
        )

    def score(method: Method | None, split: Split) -> Score:
        rows, nursing, own = [], 0, 0
        for prompt in split.prompts:
            drawing = draw(prompt.text, model=model, method=method, seeds=split.seeds, steps=steps)
            baseline = [None] * len(drawing.images)
            judged = scorer.judge(drawing.images, [prompt] * len(baseline), baseline)
            rows.append([one.values[metric] for one in judged])
            for trace in drawing.traces:
                own += trace.runs[-1].full_forwards
                nursing += sum(s.truncated_forwards + s.backwards for s in trace.runs[-1].steps)
        return Score(np.array(rows, float), nursing / max(own, 1))

    return score


def settings_of(search: Search, model: Loaded, scorer: Scorer) -> dict[str, Any]:
    """All that a search depends on but its number of trials, as JSON."""
    said = json.loads(json.dumps(asdict(search), default=str))
    del said["trials"]
    return said | {"model": model.source.weights or model.source.name, "scorer": scorer.identity}


def tune(
    search: Search,
    model: Loaded,
    scorer: Scorer,
    storage: Path,
    on_trial: Callable[[int, float, Mapping[str, Any]], None] | None = None,
) -> Method:
    """The best method that a search found, going on from what `storage` holds.

    Args:
        search: what is searched, and on what.
        model: what draws.
        scorer: what judges.
        storage: a sqlite file, made where it is missing.
        on_trial: called after each trial with its number, its value and its parameters.

    Raises:
        ValueError: Optuna is not installed; the file is of a search with other settings, or no
            database of Optuna's.
    """
    optuna = _optuna()
    score = drawer(model, scorer, search.metric, search.steps)
    method = make(search.method)
    kinds = space(method, search.parameters)
    settings, defaults = settings_of(search, model, scorer), _defaults(method, kinds)
    study = _study(optuna, storage, settings, defaults)
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    states = optuna.trial.TrialState
    done = len(study.get_trials(states=(states.COMPLETE, states.PRUNED)))

    def value(trial: optuna.Trial) -> float:
        try:
            own = with_parameters(method, suggested(trial, kinds))
        except ValueError as error:
            # Parameters that the method does not take together.
            raise optuna.TrialPruned(str(error)) from None
        reached = score(own, search.validation)
        if np.isnan(reached.mean):
            raise ValueError(
                f"The scorer says nothing of {search.metric!r} on these prompts; give another "
                "metric, or a set that it is about."
            )
        trial.set_user_attr("mean", reached.mean)
        trial.set_user_attr("cost", reached.cost)
        return reached.mean - search.cost_weight * reached.cost

    def after(_: object, trial: optuna.trial.FrozenTrial) -> None:
        if on_trial is not None and trial.value is not None:
            on_trial(trial.number, trial.value, trial.params)

    study.optimize(value, n_trials=max(0, search.trials - done), callbacks=[after])
    return with_parameters(method, suggested(study.best_trial, kinds))  # type: ignore[arg-type]


def _optuna() -> Any:  # noqa: ANN401
    try:
        import optuna
    except ImportError:
        raise ValueError(
            "Optuna is not installed; install the extra: pip install 'adhere[tune]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _study(
    optuna: Any,  # noqa: ANN401
    storage: Path,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> Any:  # noqa: ANN401
    from sqlalchemy.exc import DatabaseError

    storage.parent.mkdir(parents=True, exist_ok=True)
    place = {"study_name": "adhere", "storage": f"sqlite:///{storage}"}
    create = partial(optuna.create_study, **place, direction="maximize", load_if_exists=True)
    states = optuna.trial.TrialState
    try:
        study = create()
        if not study.get_trials(states=(states.COMPLETE, states.PRUNED)):
            # There is nothing to go on with, and other settings may be the right ones.
            optuna.delete_study(**place)
            study = create()
            study.set_user_attr(SETTINGS, settings)
            study.enqueue_trial(defaults)
        kept = study.user_attrs.get(SETTINGS, {})
    except (DatabaseError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise ValueError(
            f"{str(storage)!r} is no database of a search ({type(error).__name__}); give another "
            "file."
        ) from error
    if kept != settings:
        changed = sorted(k for k in {*kept, *settings} if kept.get(k) != settings.get(k))
        raise ValueError(
            f"{str(storage)!r} holds a search with other settings ({', '.join(changed)}); give "
            "the same ones to go on with it, or another file."
        )
    return study


def _defaults(method: Method, kinds: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    own, found = parameters_of(method), {}
    for name, (kind, *_) in kinds.items():
        if kind == "pairs":
            found |= {f"{name}@{at:g}": level for at, level in own[name]}  # type: ignore[union-attr]
        else:
            found[name] = own[name]
    return found


def reported(
    methods: Mapping[str, Method | None], split: Split, draw_and_score: Draw, against: str
) -> list[str]:
    """Lines of a report on prompts and seeds that chose nothing.

    Args:
        methods: name to method.
        split: what is drawn.
        draw_and_score: see `drawer`.
        against: the name that others are compared with.
    """
    scores = {name: draw_and_score(method, split) for name, method in methods.items()}
    lines = [f"{len(split.prompts)} prompts, seeds {', '.join(map(str, split.seeds))}"]
    for name, one in scores.items():
        mean = estimate(one.values)
        reached = "no value" if mean.value is None else f"{mean.value:.1%}"
        line = f"{name:12} {reached}  {one.cost:.2f} passes of nursing a pass"
        if name != against:
            gain = estimate(differences(one.values, scores[against].values))
            span = "" if gain.low is None else f" ({gain.low:+.1%} to {gain.high:+.1%})"
            change = "no value" if gain.value is None else f"{gain.value:+.1%}{span}"
            line += f"  against {against} {change}"
        lines.append(line)
    return lines


def check_apart(validation: Split, report: Split) -> None:
    """Refuse a report on what has chosen.

    Raises:
        ValueError: a prompt or a seed is in both splits.
    """
    texts = {p.text for p in validation.prompts} & {p.text for p in report.prompts}
    seeds = {*validation.seeds} & {*report.seeds}
    if texts or seeds:
        both = repr(sorted(texts)[0]) if texts else f"the seed {min(seeds)}"
        raise ValueError(
            f"{both} is in the validation split and in the report; a report needs prompts and "
            "seeds that chose nothing."
        )
