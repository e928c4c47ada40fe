"""The report: its numbers, what it does with what strangers wrote, and that it repeats."""

import io
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import adhere
from adhere.evaluation.measures import Seen
from adhere.evaluation.outcomes import Attention, Measurement, drawn, failed
from adhere.evaluation.plan import Condition, Plan, Unit
from adhere.evaluation.planfile import to_toml
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.report import images_of, plots, report, write
from adhere.evaluation.report.evidence import UNIT, Evidence, evidence
from adhere.evaluation.report.page import html, markdown
from adhere.evaluation.report.plots import draw_plots, plot_cost
from adhere.evaluation.report.ratios import MEASURES
from adhere.evaluation.report.sheets import MOST_SIDE, sheet, strips, thumbnail, webp
from adhere.evaluation.report.tables import MACRO, Tables
from adhere.evaluation.report.why import auc
from adhere.evaluation.scorers.base import Judgement, Metric, Scorer, Thing
from adhere.evaluation.scorers.cache import Scored, score
from adhere.evaluation.statistics import estimate, pareto
from adhere.evaluation.store import Store
from adhere.methods.watch import Watch

EVIL = '<script>alert(1)</script> | `x` "><img src=x onerror=alert(2)> ](http://evil.example)'
PRESENT = Metric("all-present", "presence", True, "Every wanted subject is seen.", 0.0)
MIXED = Metric("mixture", "mixing", False, "A thing is two subjects at once.")
FAR = Metric("distance", "preservation", False, "How far from the baseline image.")
NURSE, OTHER = "attend-and-excite", "token-reweighting"


def prompt_set(name="pairs", count=24, text="a cat and a frog, number {}"):
    wanted = (Wanted("cat"), Wanted("frog"))
    prompts = (Prompt(f"p-{n:02d}", text.format(n), wanted) for n in range(count))
    return PromptSet(name, "made here", tuple(prompts))


def plan_of(*sets, methods=(NURSE, OTHER), seeds=4, **others):
    chosen = tuple(Condition.of(name, adhere.METHODS[name]()) for name in methods)
    return Plan("mini", chosen, sets or (prompt_set(),), tuple(range(seeds)), **others)


def evidence_of(plan, errors=(), rng=0, gain=0.3):
    """What a run would have: the first method helps, the second one does nothing."""
    rng = np.random.default_rng(rng)
    rows, scores, costs = [], [], []
    luck = {}
    for unit in plan.units:
        noise = luck.setdefault(unit[1:], rng.random())
        error = dict(errors).get(unit)
        rows.append((*unit, plan.prompt(unit).text, error))
        helped = gain if unit.condition == NURSE else 0
        present = 0.0 if error else float(noise < 0.4 + helped)
        mixed = np.nan if error else float(noise > 0.8 + helped / 2)
        far = np.nan if error or unit.condition == "none" else helped + 0.1
        values = zip((PRESENT, MIXED, FAR), (present, mixed, far), strict=True)
        scores += [(*unit, "toy", metric.name, value) for metric, value in values]
        if not error:
            cost = 1.5 if unit.condition == NURSE else 1.0
            costs.append((*unit, 2 * cost + unit.seed, 1e9 * cost, np.nan, "here"))
    return Evidence(
        plan,
        pd.DataFrame(rows, columns=[*UNIT, "text", "error"]),
        pd.DataFrame(scores, columns=[*UNIT, "scorer", "metric", "value"]),
        pd.DataFrame(costs, columns=[*UNIT, "seconds", "flops", "peak_bytes", "worker"]),
        (Scored("toy", "toy", {"model": "none", "scale": "0 to 1"}, (PRESENT, MIXED, FAR), {}),),
    )


def only(found, keeps):
    """The evidence of a run that was stopped."""

    def kept(frame):
        units = frame[UNIT].itertuples(index=False, name=None)
        return frame[[keeps(Unit(*unit)) for unit in units]].reset_index(drop=True)

    return replace(
        found, rows=kept(found.rows), scores=kept(found.scores), costs=kept(found.costs)
    )


def image(unit):
    return Image.new("RGB", (32, 32), (len(unit.condition) * 9, unit.seed * 40, 90))


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Page(HTMLParser):
    """Every tag, attribute and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_main_table_says_what_was_scored():
    plan = plan_of()
    found = evidence_of(plan)
    tables = Tables(found)
    row = tables.row("pairs", NURSE, tables.primary)
    scores = found.scores[found.scores["metric"] == "all-present"]
    wide = scores.pivot(index=["prompt", "seed"], columns="condition", values="value")
    assert row["value"] == pytest.approx(wide[NURSE].mean())
    assert row["difference"] == pytest.approx((wide[NURSE] - wide["none"]).mean())
    assert row["raised"] == ((wide[NURSE] == 1) & (wide["none"] == 0)).sum() > 0
    assert row["lowered"] == 0
    expected = estimate(wide[NURSE].to_numpy().reshape(24, 4))
    assert (row["low"], row["high"]) == (expected.low, expected.high)
    assert (row["prompts"], row["seeds"], row["images"], row["pairs"]) == (24, 4, 96, 96)
    assert row["flops_ratio"] == 1.5
    assert row["seconds_ratio"] == pytest.approx((3 + 1.5) / (2 + 1.5))
    baseline = tables.row("pairs", "none", tables.primary)
    assert np.isnan(baseline["difference"]) and baseline["flops_ratio"] == 1


def test_a_method_that_changes_nothing_has_no_interval_and_says_why():
    tables = Tables(evidence_of(plan_of()))
    row = tables.row("pairs", OTHER, tables.primary)
    assert row["difference"] == 0 and np.isnan(row["difference_low"])
    assert row["difference_note"] == "all prompts alike: no interval"
    assert row["difference_note"] in html(tables, image, {})


def test_what_does_not_apply_is_left_out():
    found = evidence_of(plan_of())
    found.scores.loc[found.scores["metric"] == "mixture", "value"] = np.nan
    tables = Tables(found)
    mixture = next(column for column in tables.columns if column.metric is MIXED)
    assert tables.row("pairs", NURSE, mixture)["note"] == "applies to no image"
    assert [column.metric for column in tables.leading] == [PRESENT, FAR]


def test_preservation_is_not_compared_to_baseline_twice():
    found = evidence_of(plan_of())
    # A distance to the baseline image may be given for that image too, or left out.
    for baseline in (0.0, np.nan):
        is_own = (found.scores["metric"] == "distance") & (found.scores["condition"] == "none")
        found.scores.loc[is_own, "value"] = baseline
        tables = Tables(found)
        distance = next(column for column in tables.columns if column.metric is FAR)
        assert np.isnan(tables.row("pairs", "none", distance)["value"])
        row = tables.row("pairs", NURSE, distance)
        assert row["value"] == pytest.approx(0.4)
        assert np.isnan(row["difference"]) and row["raised"] == row["pairs"] == 0


def test_sets_stand_alone_and_their_average_gives_each_the_same_weight():
    plan = plan_of(prompt_set("small", 20), prompt_set("large", 40), seeds=2)
    tables = Tables(evidence_of(plan))
    one, two, both = (
        tables.row(name, NURSE, tables.primary) for name in ("small", "large", MACRO)
    )
    assert both["value"] == pytest.approx((one["value"] + two["value"]) / 2)
    assert both["prompts"] == 60
    assert both["flops_ratio"] == 1.5
    assert MACRO not in Tables(evidence_of(plan_of())).results["set"].tolist()


def test_the_average_says_how_many_sets_have_a_metric():
    found = evidence_of(plan_of(prompt_set("one", 20), prompt_set("two", 20)))
    is_gone = (found.scores["metric"] == "mixture") & (found.scores["set"] == "two")
    found.scores.loc[is_gone, "value"] = np.nan
    tables = Tables(found)
    mixture = next(column for column in tables.columns if column.metric is MIXED)
    assert tables.row(MACRO, NURSE, mixture)["sets"] == 1
    assert tables.row(MACRO, NURSE, tables.primary)["sets"] == 2
    text = html(tables, image, {})
    assert "mixture; lower is better; 1 of 2 sets" in text
    assert "all-present</small>" in text


def test_every_metric_says_of_how_many_prompts_it_is():
    text = html(Tables(evidence_of(plan_of())), image, {})
    assert "toy, preservation, lower is better, 24 prompts" in text
    assert "0 prompts" not in text.replace("20 prompts", "")


def test_few_prompts_that_changed_are_no_verdict():
    """Five of 24, all one way: the interval is clear of 0, and chance does it in 6%."""
    for count, verdict in ((5, "unclear"), (6, "better")):
        found = evidence_of(plan_of(methods=(NURSE,)))
        is_present = found.scores["metric"] == "all-present"
        is_own = found.scores["condition"] == NURSE
        is_one = found.scores["prompt"].isin([f"p-{n:02d}" for n in range(count)])
        found.scores.loc[is_present, "value"] = 0.0
        found.scores.loc[is_present & is_own & is_one, "value"] = 1.0
        tables = Tables(found)
        row = tables.row("pairs", NURSE, tables.primary)
        assert row["difference_low"] > 0 and row["prompts_changed"] == count
        assert ("only 5 prompts changed" in html(tables, image, {})) == (count == 5)
        assert f'class="change {verdict}">+{row["difference"]:.1%}'[:-1] in html(tables, image, {})


def test_methods_are_compared_with_each_other(tmp_path):
    """The second method changes nothing, so the first one is as far from it as from baseline."""
    plan = plan_of(prompt_set("one", 20), prompt_set("two", 24))
    tables = Tables(evidence_of(plan))
    assert set(tables.pairs["metric"]) == {column.metric.name for column in tables.leading}
    assert list(tables.pairs["set"].unique()) == ["one", "two", MACRO]
    assert set(zip(tables.pairs["condition"], tables.pairs["against"], strict=True)) == {
        (OTHER, NURSE)
    }
    for name in ("one", "two", MACRO):
        row = tables.row(name, NURSE, tables.primary)
        is_own = (tables.pairs["set"] == name) & (tables.pairs["metric"] == "all-present")
        [pair] = tables.pairs[is_own].to_dict("records")
        assert pair["difference"] == -row["difference"] < 0
        assert pair["difference_low"] < pair["difference"] < pair["difference_high"] < 0
        assert (pair["raised"], pair["lowered"], pair["pairs"]) == (0, row["raised"], row["pairs"])
    text = html(tables, image, {})
    assert "Method against method" in text and f"against {NURSE}" in text
    alone = evidence_of(plan_of(methods=(NURSE,)))
    write(alone, image, tmp_path)
    assert "Method against method" not in (tmp_path / "report.md").read_text()
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 0


def test_variety_quality_and_cost_are_ratios_to_the_baseline(tmp_path):
    """The method puts every cat in one place and draws it as surely; the other changes nothing."""
    single = PromptSet("singles", "made here", (Prompt("cat", "a cat", (Wanted("cat"),)),))
    plan = plan_of(prompt_set(), single, baseline_only=("singles",))
    assert {unit.condition for unit in plan.units if unit.set == "singles"} == {"none"}
    rng = np.random.default_rng(0)
    places = {unit[1:]: rng.uniform(0.2, 0.8) for unit in plan.units}
    seen = {}
    for unit in plan.units:
        x = 0.5 if unit.condition == NURSE else places[unit[1:]]
        sure = 0.9 if unit.set == "singles" or unit.condition == NURSE else 0.8 + unit.seed / 20
        cat = Thing("cat", sure, (x - 0.1, 0.4 - unit.seed / 40, x + 0.1, 0.6 + unit.seed / 40))
        seen[unit] = Seen((cat,), (10 * x, *rng.normal(size=2)))
    found = replace(evidence_of(plan), seen={"toy": seen})
    rows = {(r["condition"], r["measure"]): r for r in Tables(found).ratios.to_dict("records")}
    assert {measure for _, measure in rows} == set(MEASURES)
    assert rows[NURSE, "spread of sizes"]["ratio"] == pytest.approx(1)
    assert rows[NURSE, "spread of places"]["ratio"] == pytest.approx(0, abs=1e-9)
    assert rows[OTHER, "spread of places"]["ratio"] == 1
    # Seeds 2 and 3 of four are as sure as the single images.
    assert rows[NURSE, "as confident as alone"]["ratio"] == 2
    assert rows[NURSE, "as confident as alone"]["baseline"] == 0.5
    assert rows[NURSE, "operations"]["ratio"] == 1.5
    assert rows[NURSE, "seconds"]["ratio"] == pytest.approx((3 + 1.5) / (2 + 1.5))
    assert rows[NURSE, "distance of features"]["ratio"] > 1
    assert rows[OTHER, "distance of features"]["value"] == pytest.approx(
        rows[OTHER, "distance of features"]["baseline"], rel=0.6
    )
    write(found, image, tmp_path)
    for name in ("index.html", "report.md"):
        text = (tmp_path / name).read_text()
        assert "Variety, quality and cost" in text and "spread of places" in text
        assert "Nothing of singles" not in text
    assert len(pd.read_csv(tmp_path / "ratios.csv")) == len(rows)


def test_missing_subjects_are_told_from_found_ones_by_their_attention(tmp_path):
    """From the second step on a missing subject has half of the attention of a found one."""
    watched = Condition.of("watched", Watch(temperature=None))
    plan = plan_of(prompt_set(count=12), methods=(NURSE,), seeds=4)
    plan = replace(plan, conditions=(*plan.conditions, watched))
    rng = np.random.default_rng(0)
    seen, attention = {}, {}
    for unit in plan.units:
        there = [name for name in ("cat", "frog") if rng.random() < 0.6]
        seen[unit] = Seen(tuple(Thing(name, 0.9, (0.1, 0.1, 0.4, 0.4)) for name in there))
        if unit.condition == "watched":
            late = [0.2 if name in there else 0.1 for name in ("cat", "frog")]
            noise = rng.uniform(0.1, 0.2, 2)
            rows = (tuple(noise), tuple(late), tuple(late))
            attention[unit] = Attention(("cat", "frog"), (0, 1, 2), rows, rows)
    found = replace(evidence_of(plan), seen={"toy": seen}, attention=attention)
    tables = Tables(found)
    assert tables.conditions == ("none", NURSE), "what only watches is the baseline once more"
    rows = tables.why.table.set_index(["measure", "step"]).loc["mean"]
    assert rows.loc[1, "ratio"] == pytest.approx(0.5) and rows.loc[1, "auc"] == 1
    assert rows.loc[0, "auc_low"] < 0.5 < rows.loc[0, "auc_high"]
    assert rows.loc[0, "found_count"] + rows.loc[0, "missing_count"] == 12 * 4 * 2
    assert tables.why.summary()["from_step"] == 1
    write(found, image, tmp_path)
    for name in ("index.html", "report.md"):
        text = (tmp_path / name).read_text()
        assert "Why subjects go missing" in text and "From step 1 on" in text
    assert (tmp_path / "why.csv").exists() and (tmp_path / "figures" / "attention.svg").exists()


def test_the_area_under_the_curve_is_a_share_of_pairs():
    rng = np.random.default_rng(0)
    found = [list(rng.integers(0, 6, 3)) for _ in range(25)]
    missing = [list(rng.integers(-2, 5, n % 4)) for n in range(25)]
    value, low, high = auc(found, missing)
    pairs = [(f > m) + (f == m) / 2 for f in sum(found, []) for m in sum(missing, [])]
    assert value == pytest.approx(np.mean(pairs))
    assert 0.5 < low < value < high < 1


def test_the_minimum_columns_are_there():
    columns = {
        "condition", "methods", "model", "revision", "weights", "scheduler", "steps",
        "guidance_scale", "dtype", "device", "set", "set_sha256", "prompts", "seeds", "metric",
        "scorer", "scorer_identity", "value", "low", "high", "difference", "difference_low",
        "difference_high", "seconds", "seconds_ratio", "flops_ratio", "peak_bytes", "failures",
        "group",
    }  # fmt: skip
    assert columns <= set(Tables(evidence_of(plan_of())).results.columns)


def test_a_run_that_was_stopped_compares_what_all_have_and_says_so():
    plan = plan_of()
    whole = evidence_of(plan)
    # The method alone has two seeds more, all of them good.
    part = only(whole, lambda u: u.seed < 2 or u.condition == NURSE)
    is_late = (part.scores["seed"] >= 2) & (part.scores["metric"] == "all-present")
    part.scores.loc[is_late, "value"] = 1.0
    tables = Tables(part)
    row = tables.row("pairs", NURSE, tables.primary)
    alike = Tables(only(whole, lambda u: u.seed < 2))
    assert row["value"] == alike.row("pairs", NURSE, alike.primary)["value"]
    assert row["seeds"] == 2
    for text in (html(tables, image, {}), markdown(tables, [])):
        assert "This run is not finished" in text
        assert re.search(r"compares only the\s+48\s", text)
    assert "not finished" not in html(Tables(whole), image, {})


def test_prompts_with_fewer_seeds_than_others_count_what_they_have():
    part = only(evidence_of(plan_of()), lambda u: u.seed < 2 or u.prompt < "p-05")
    tables = Tables(part)
    row = tables.row("pairs", NURSE, tables.primary)
    assert row["images"] == 24 * 2 + 5 * 2
    shown = {strip.prompt: len(strip.pairs) for strip in strips(tables, "pairs")}
    assert all(count == (4 if int(text[-2:]) < 5 else 2) for text, count in shown.items())


def test_presence_is_what_the_exact_scorer_says_where_there_is_one():
    found = evidence_of(plan_of(seeds=2))
    exact = found.scores.replace({"scorer": {"toy": "mini-0123abcd"}})
    both = replace(
        found,
        scores=pd.concat([found.scores, exact]),
        scorers=(*found.scorers, replace(found.scorers[0], name="mini-0123abcd")),
    )
    assert Tables(both).primary.key == ("mini-0123abcd", "all-present")
    assert Tables(found).primary.key == ("toy", "all-present")


def test_a_set_that_nothing_has_yet_is_named():
    plan = plan_of(prompt_set("done"), prompt_set("later"), seeds=1)
    part = only(evidence_of(plan), lambda u: u.set == "done" or u.condition == "none")
    tables = Tables(part)
    assert tables.sets == ("done",)
    assert "Nothing of later can be compared yet" in html(tables, image, {})


def test_nothing_in_common_is_an_error():
    part = only(evidence_of(plan_of()), lambda u: u.condition == "none")
    with pytest.raises(ValueError, match="every condition has"):
        Tables(part)


def test_scorers_that_say_nothing_are_named():
    found = evidence_of(plan_of())
    found.scores["value"] = np.nan
    with pytest.raises(ValueError, match=r"scorers \(toy\) say nothing of these prompts"):
        Tables(found)


def test_a_set_without_a_leading_metric_has_a_table():
    found = evidence_of(plan_of(prompt_set("seen"), prompt_set("unseen")))
    found.scores.loc[found.scores["set"] == "unseen", "scorer"] = "later"
    later = replace(found.scorers[0], name="later")
    tables = Tables(replace(found, scorers=(*found.scorers, later)))
    assert {column.scorer for column in tables.leading} == {"toy"}
    assert "unseen" in html(tables, image, {})


def test_one_prompt_is_reported_without_an_interval():
    tables = Tables(evidence_of(plan_of(prompt_set(count=1))))
    assert "one prompt: no interval" in html(tables, image, {})
    assert "one prompt: no interval" in markdown(tables, [])


def test_few_prompts_have_intervals_but_no_verdict():
    tables = Tables(evidence_of(plan_of(prompt_set(count=12), seeds=8)))
    row = tables.row("pairs", NURSE, tables.primary)
    assert row["difference_low"] > 0
    text = html(tables, image, {})
    assert f"{100 * row['difference_high']:.1f}]†" in text
    assert "† Fewer than 20 prompts" in text
    assert 'class="change better"' not in text and "not clear of 0" not in text


def test_a_run_of_baseline_images_alone_is_a_report_too(tmp_path):
    write(evidence_of(plan_of(methods=())), image, tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "The baseline on mini" in text
    assert "Differences to the baseline" not in text


def test_failures_are_listed_and_count():
    plan = plan_of()
    broken = [(Unit(NURSE, "pairs", "p-03", seed), f"NonFiniteLoss: {EVIL}") for seed in range(4)]
    tables = Tables(evidence_of(plan, broken))
    assert len(tables.failures) == 4
    assert tables.row("pairs", NURSE, tables.primary)["failures"] == 4
    by_prompt = tables.prompts.set_index(["prompt", "condition", "metric"])["value"]
    assert by_prompt["p-03", NURSE, "all-present"] == 0
    text = html(tables, lambda unit: None if unit in dict(broken) else image(unit), {})
    assert "4 failed" in text
    assert text.count("NonFiniteLoss: &lt;script&gt;") == 4


def hostile():
    texts = (EVIL, "=cmd|' /C calc'!A0", "a\x00b\x1b[31m\u202ec\nd", "x" * 5_000)
    wanted = (Wanted("cat"),)
    prompts = tuple(Prompt(f"p-{n}", text, wanted) for n, text in enumerate(texts))
    plan = plan_of(
        PromptSet("evil", EVIL, prompts), seeds=2, negative_prompt=f"```\n{EVIL}", revision=EVIL
    )
    plan = replace(plan, model=EVIL, environment={EVIL: EVIL})
    metrics = (replace(PRESENT, name=f"$x_{EVIL}", description=EVIL), MIXED, FAR)
    found = evidence_of(plan, [(plan.units[1], EVIL)])
    scores = found.scores.replace({"metric": {"all-present": metrics[0].name}})
    scorers = (Scored("toy", "toy", {EVIL: EVIL}, metrics, {}),)
    return replace(found, scores=scores, scorers=scorers)


def test_what_strangers_wrote_is_text_on_the_page():
    tables = Tables(hostile())
    page = Page(html(tables, image, draw_plots(tables)))
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "a"} & {*page.tags}
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    held = [v for _, name, v in page.attributes if name in ("src", "srcset", "href", "action")]
    assert held and all(value.startswith("data:image/") for value in held)
    policy = [v for tag, name, v in page.attributes if tag == "meta" and name == "content"]
    assert any("default-src 'none'" in value for value in policy)
    assert any(EVIL in text for text in page.texts)
    shown = "".join(page.texts)
    assert "\x1b" not in shown and "\u202e" not in shown and "x" * 400 not in shown


def test_what_strangers_wrote_is_text_in_markdown():
    text = markdown(Tables(hostile()), [("Plot", "figures/cost.svg")])
    prose = re.sub(r"^(`{3,})sh\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in prose
    assert "](http" not in prose.replace("\\]\\(", "")
    assert set(re.findall(r"</?(\w+)", prose)) == {"details", "summary", "br"}
    blocks = re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)
    assert len(blocks) > 5
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_what_strangers_wrote_is_no_formula_in_a_spreadsheet(tmp_path):
    write(hostile(), image, tmp_path)
    csv = pd.read_csv(tmp_path / "prompts.csv")
    assert not csv["text"].str.match(r"[=+@-]").any()
    assert csv["text"].str.startswith("'=cmd").any()
    assert pd.read_parquet(tmp_path / "prompts.parquet")["text"].str.startswith("=cmd").any()


def test_the_same_run_gives_the_same_bytes(tmp_path):
    plan = plan_of(prompt_set("one", 20), prompt_set("two", 20), seeds=2)
    write(evidence_of(plan), image, tmp_path / "a")
    write(evidence_of(plan), image, tmp_path / "b")
    a, b = files(tmp_path / "a"), files(tmp_path / "b")
    assert a == b
    names = ("results", "pairs", "ratios", "prompts", "seeds", "costs", "failures")
    tables = {f"{name}.{ending}" for name in names for ending in ("csv", "parquet")}
    figures = {f"figures/{n}" for n in ("cost.svg", "differences.svg", "one.webp", "two.webp")}
    assert set(a) == {"index.html", "report.md", "plan.toml"} | tables | figures
    linked = set(re.findall(r"!\[.*?\]\((.*?)\)", a["report.md"].decode()))
    assert linked == figures
    assert a["plan.toml"].decode() == to_toml(plan)


def test_tables_are_the_same_as_data(tmp_path):
    found = evidence_of(plan_of())
    write(found, image, tmp_path)
    results = Tables(found).results
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "results.parquet"), results, check_dtype=False
    )
    csv = pd.read_csv(tmp_path / "results.csv")
    assert csv["difference_low"].to_numpy() == pytest.approx(
        results["difference_low"].to_numpy(), nan_ok=True
    )
    assert len(pd.read_csv(tmp_path / "prompts.csv")) == 24 * 3 * 3
    assert len(pd.read_csv(tmp_path / "seeds.csv")) == 4 * 3 * 3


def test_the_page_shows_the_numbers_of_the_table():
    tables = Tables(evidence_of(plan_of()))
    row = tables.row("pairs", NURSE, tables.primary)
    text = html(tables, image, {})
    assert f"<b>{100 * row['value']:.1f}</b>" in text
    assert f"+{100 * row['difference']:.1f}" in text
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    assert f"[{low:.1f}, {high:.1f}]" in text
    assert "<b>1.50 ×</b>" in text
    assert 'class="change better"' in text


def test_lower_is_better_where_it_is():
    tables = Tables(evidence_of(plan_of()))
    mixture = next(column for column in tables.columns if column.metric is MIXED)
    row = tables.row("pairs", NURSE, mixture)
    assert row["difference_high"] < 0
    assert f'class="change better">−{-100 * row["difference"]:.1f}' in html(tables, image, {})


@pytest.mark.parametrize("rng", range(20))
def test_nothing_beats_the_pareto_front(rng):
    rng = np.random.default_rng(rng)
    costs, values = rng.integers(0, 5, (2, 8)).tolist()
    front = pareto(costs, values)
    for place in range(8):
        beaten = any(
            costs[o] <= costs[place]
            and values[o] >= values[place]
            and (costs[o], values[o]) != (costs[place], values[place])
            for o in range(8)
        )
        twins = {p for p in range(8) if (costs[p], values[p]) == (costs[place], values[place])}
        assert beaten == (not twins & set(front))
    assert [costs[p] for p in front] == sorted({costs[p] for p in front})


def test_best_worst_and_most_changed():
    plan = plan_of(prompt_set(count=4), methods=(NURSE,))
    found = evidence_of(plan)
    # Prompt: how many of four seeds are right, baseline and with the method.
    right = {"p-00": (1, 4), "p-01": (3, 4), "p-02": (4, 0), "p-03": (0, 0)}
    values = [
        float(seed < right[prompt][condition == NURSE])
        for condition, prompt, seed in found.scores[["condition", "prompt", "seed"]].to_numpy()
    ]
    found.scores["value"] = values
    chosen = {strip.prompt[-1]: strip for strip in strips(Tables(found), "pairs")}
    assert chosen["0"].why == ("best",)
    assert chosen["2"].why == ("most changed", "worst")
    assert set(chosen) == {"0", "2"}
    assert chosen["0"].means == (0.25, 1.0)
    assert [pair.seed for pair in chosen["0"].pairs] == [0, 1, 2, 3]
    assert chosen["0"].pairs[1].values == (0.0, 1.0)


def test_sheets_show_baseline_beside_the_method():
    tables = Tables(evidence_of(plan_of()))
    chosen = strips(tables, "pairs")
    shown = []
    made = sheet(chosen, tables.primary, lambda unit: shown.append(unit) or image(unit))
    assert made.width < 1600
    for baseline, nursed in (
        itertools.batched(shown, 2)
        if hasattr(itertools, "batched")
        else zip(shown[::2], shown[1::2], strict=True)
    ):
        assert baseline.condition == "none" != nursed.condition
        assert baseline[1:] == nursed[1:]


def test_a_sheet_of_many_conditions_fits_into_webp():
    data = webp(Image.new("RGB", (20_000, 40)))
    assert Image.open(io.BytesIO(data)).size == (16_383, 33)


def test_images_on_the_page_are_small():
    noise = np.random.default_rng(0).integers(0, 256, (768, 1024, 3), dtype=np.uint8)
    data = thumbnail(Image.fromarray(noise))
    assert len(data) < 40_000
    text = html(Tables(evidence_of(plan_of())), lambda unit: None, {})
    assert "failed</div>" in text and "image/webp" not in text
    assert MOST_SIDE < 256


def test_plots_are_whole_and_name_what_they_show():
    plan = plan_of(prompt_set("one", 20), prompt_set("two", 20), seeds=2)
    for svg in draw_plots(Tables(evidence_of(plan))).values():
        ElementTree.fromstring(svg)
        for word in (NURSE, "one", "two", "macro average", "all-present"):
            assert word in svg
        assert "dc:date" not in svg and "DejaVu" not in svg


def lightness(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_long_names_leave_room_for_plots():
    """Conditions may have a hundred letters; what matplotlib warns of is an error here."""
    names = [letter * 100 for letter in "abcdef"]
    chosen = tuple(Condition.of(name, adhere.METHODS[NURSE]()) for name in names)
    plan = replace(plan_of(prompt_set("s" * 64, 20), seeds=2), conditions=chosen)
    for svg in draw_plots(Tables(evidence_of(plan))).values():
        assert "a" * 25 in svg and "a…" in svg and "a" * 36 not in svg


def test_plots_can_be_read_on_their_paper():
    def contrast(colour):
        high, low = sorted((lightness(colour), lightness(plots.PAPER)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert contrast(plots.INK) > 7
    assert contrast(plots.FAINT) > 4.5
    assert all(contrast(plots.colour(number)) > 2.2 for number in range(9))


def test_without_operations_cost_is_in_seconds():
    found = evidence_of(plan_of())
    found.costs["flops"] = np.nan
    tables = Tables(found)
    assert "seconds, × baseline" in plot_cost(tables)
    assert "seconds, × baseline" not in plot_cost(Tables(evidence_of(plan_of())))


class Reddish(Scorer):
    """A scorer of toy size: whether an image is rather red."""

    name = "reddish"
    metrics = (replace(PRESENT, name="is-red"),)
    identity = {"model": "none"}

    def judge(self, images, prompts, baseline):
        reds = [np.asarray(one)[..., 0].mean() for one in images]
        return [Judgement({"is-red": float(red > 100)}) for red in reds]


def toy_store(folder, batches=None, prompts=3):
    store = Store.create(folder, plan_of(prompt_set(count=prompts), methods=(NURSE,), seeds=2))
    plan = store.plan
    with store.writing():
        for batch in plan.batches[:batches]:
            outcomes = []
            for unit in batch.units:
                if unit == Unit(NURSE, "pairs", "p-01", 1):
                    outcomes.append(failed(plan, unit, "NonFiniteLoss", batch=batch.seeds))
                    continue
                red = 200 if unit.condition == NURSE or unit.prompt == "p-00" else 20
                measured = Measurement(unit, 2.0, None, 50, 0, 0, 10**9, "here")
                shown = Image.new("RGB", (16, 16), (red, 0, 0))
                outcomes.append(drawn(plan, unit, shown, batch=batch.seeds, measurement=measured))
            store.keep(outcomes)
    return store


def test_a_report_of_a_store(tmp_path):
    store = toy_store(tmp_path / "run")
    with pytest.raises(ValueError, match="not scored yet"):
        report(store, tmp_path / "report")
    score(store, Reddish())
    report(store, tmp_path / "report")
    tables = Tables(evidence(store))
    row = tables.row("pairs", NURSE, tables.primary)
    assert row["value"] == pytest.approx(5 / 6)
    assert row["difference"] == pytest.approx(5 / 6 - 2 / 6)
    assert row["failures"] == 1
    page = Page((tmp_path / "report" / "index.html").read_text())
    assert page.tags.count("img") > 8
    assert store.plan.fingerprint in page.texts
    first = files(tmp_path / "report")
    report(Store.open(tmp_path / "run"), tmp_path / "report")
    assert files(tmp_path / "report") == first


def test_nothing_drawn_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="Nothing is drawn"):
        report(toy_store(tmp_path / "run", batches=0), tmp_path / "report")


@pytest.mark.parametrize(("change", "said"), [("missing", "is missing"), ("altered", "altered")])
@pytest.mark.parametrize("prompt", ["p-02", "p-04"], ids=["shown", "not shown"])
def test_a_run_is_reported_as_it_was_drawn_or_not_at_all(tmp_path, change, said, prompt):
    store = toy_store(tmp_path / "run", prompts=5)
    score(store, Reddish())
    unit = Unit("none", "pairs", prompt, 0)
    shown = {p.baseline for strip in strips(Tables(evidence(store)), "pairs") for p in strip.pairs}
    assert (unit in shown) == (prompt == "p-02")
    path = store.path(unit)
    path.unlink() if change == "missing" else path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=said):
        images_of(store)(unit)
    with pytest.raises(ValueError, match="--repair"):
        report(store, tmp_path / "report")
    assert not (tmp_path / "report").exists()
