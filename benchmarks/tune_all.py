"""Searches numbers of the papers' methods on the bundled U-Net, and writes a plan with them.

    python benchmarks/tune_all.py && adhere evaluate run benchmarks/plans/mini-tuned.toml

Images count that show both subjects once, in their colours, and no mixture ("exact"), less a
little for each pass of nursing. Pairs and seeds are others than the plan's, and a method of which
nothing beats its paper's numbers is not in it. Started again, it goes on.
"""

from pathlib import Path

from adhere.drawing.loading import load
from adhere.evaluation.prompts import prompt_set
from adhere.evaluation.scorers import scorer
from adhere.methods import make, parameters_of
from adhere.tuning.search import Search, Split, tune

ROOT = Path(__file__).parents[1]
PLAN = ROOT / "benchmarks" / "plans" / "mini-tuned.toml"
SETS = ("attend-and-excite-animals", "attend-and-excite-objects")
# The plan draws pairs 0, 11, 22 and so on of each set.
PAIRS = tuple(prompt_set(name).prompts[at] for name in SETS for at in (5, 38))
SPLIT = Split(PAIRS, (510, 511))
# What is searched, and by how many trials: fewer where an image takes long.
SEARCHES = {
    "token-reweighting": ("alpha,beta", 8),
    "attention-regulation": ("share_weight,size_weight,rate", 8),
    "syngen": ("step_size", 8),
    "a-star": ("temperature,step_size,retention", 8),
    "self-cross": ("temperature,step_size,overlap", 6),
    "focus": ("step_size", 6),
    "conform": ("step_size,contrast_temperature", 4),
    "initno": ("temperature,step_size", 3),
}


def main() -> None:
    """Search each method in turn, and put what is found behind the plan's first lines."""
    mini, judge = load("mini"), scorer("mini")
    head, mark, _ = PLAN.read_text(encoding="utf-8").partition("# Found:\n")
    plan = head + mark
    for name, (listed, trials) in SEARCHES.items():
        names = tuple(listed.split(","))
        search = Search(name, names, SPLIT, "exact", steps=15, trials=trials)
        best = tune(search, mini, judge, ROOT / "runs" / "tune-all" / f"{name}.sqlite", print)
        own, found = parameters_of(make(name)), parameters_of(best)
        changed = [f"{n} = {_short(found[n])}" for n in names if found[n] != own[n]]
        print(name, ", ".join(changed) or "the paper's numbers", flush=True)
        if changed:
            named = f'name = "{name}"\n'
            plan += f"\n[[conditions]]\n{named}\n[[conditions.methods]]\n{named}"
            plan += f"parameters = {{ {', '.join(changed)} }}\n"
    PLAN.write_text(plan, encoding="utf-8")


def _short(value: object) -> str:
    """A number, or pairs of them, in three digits."""
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
