"""What the documentation says is true: code runs, links lead somewhere, commands parse.

How to write a page:

- Every ```python block of README.md, docs/*.md and docs/methods/*.md runs. The blocks of a page
  share one namespace, from top to bottom, in an empty folder. Nothing is skipped; what cannot run
  on a machine without a GPU or a network is said in a sentence, or in a ```text block.
- A block whose first line is `# raises SubjectNotFound` must raise that error.
- Three things are smaller than they say. `SomePipeline.from_pretrained(...)` gives the tiny
  pipeline of that class of tests/toys.py or tests/families, as does `mini.load()`;
  `load_image(...)` gives a tiny image; and `pipe(...)`, `flux(...)` and `adhere.draw(...)` take
  3 steps, `flux(...)` at 32 pixels.
- Every relative link leads to a file, and its #anchor to a heading.
- Every `adhere` command of a ```sh block is read by the command line's own parser.
- Tables of parameters are those of the code, errors.md has a section for each named error,
  and the pages of the folder api name all that is public; the site's strict build finds each.
"""

import ast
import importlib
import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import adhere
import toys
from adhere import errors
from adhere.cli import VERBS
from adhere.cli.choosing import Chosen, chosen_methods
from adhere.cli.command import Verbs
from adhere.cli.evaluate import PARTS
from families import FAMILIES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from make_methods import CHOOSING, GROUPS, LISTED, between, choice, parameters  # noqa: E402

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("methods/*.md"))]
STEPS = 3
SIDE = 32
_STEPS_ARGUMENT = {
    "pipe": "num_inference_steps",
    "flux": "num_inference_steps",
    "adhere.draw": "steps",
}
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_RAISES = re.compile(r"# raises (\w+)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

TOYS = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionImg2ImgPipeline": "sd-img2img",
    "StableDiffusionInpaintPipeline": "sd-inpaint-9",
    "StableDiffusionControlNetPipeline": "sd-controlnet",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl-img2img",
    "StableDiffusionXLInpaintPipeline": "sdxl-inpaint",
    "StableDiffusionXLControlNetPipeline": "sdxl-controlnet",
}
TRANSFORMERS = {"FluxPipeline": "flux"}


def page_id(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """The blocks of a language, each with the number of its first line."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        if match[2] == language:
            indent = len(match[1])
            code = "".join(line[indent:] for line in match[3].splitlines(keepends=True))
            found.append((text[: match.start(3)].count("\n") + 1, code))
    return found


def toy(name):
    """The tiny one of a pipeline class, of a ControlNet, or of a picture."""
    if name == "ControlNetModel":
        return toys.controlnet()
    if name == "load_image":
        return toys.picture()
    if name in TRANSFORMERS:
        return FAMILIES[TRANSFORMERS[name]].build()
    return toys.calls()[TOYS[name]][0]()


class Smaller(ast.NodeTransformer):
    """The code with tiny models, tiny pictures and few steps."""

    def visit_Call(self, node):
        self.generic_visit(node)
        called = ast.unparse(node.func)
        owner, _, last = called.rpartition(".")
        if last == "from_pretrained" and owner in {*TOYS, *TRANSFORMERS, "ControlNetModel"}:
            return self._toy(owner)
        if last == "load" and owner.endswith("mini"):
            return self._toy("StableDiffusionPipeline")
        if called == "load_image":
            return self._toy(called)
        steps = _STEPS_ARGUMENT.get(called)
        if steps is not None:
            node.keywords = [k for k in node.keywords if k.arg != steps]
            node.keywords.append(ast.keyword(steps, ast.Constant(STEPS)))
        for keyword in node.keywords if called == "flux" else []:
            if keyword.arg in ("height", "width"):
                keyword.value = ast.Constant(SIDE)
        return node

    @staticmethod
    def _toy(name):
        return ast.Call(ast.Name("toy", ast.Load()), [ast.Constant(name)], [])


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=page_id)
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    module.toy = toy
    for line, code in blocks(page, "python"):
        tree = ast.increment_lineno(Smaller().visit(ast.parse(code)), line - 1)
        compiled = compile(ast.fix_missing_locations(tree), str(page), "exec")
        raises = _RAISES.match(code)
        if raises is None:
            exec(compiled, vars(module))
            continue
        kind = getattr(errors, raises[1], None) or getattr(__builtins__, raises[1], ValueError)
        assert kind.__name__ == raises[1], f"{page.name}:{line} names an error that is none"
        with pytest.raises(kind):
            exec(compiled, vars(module))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page):
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    named = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in plain} | {*named}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=page_id)
def test_every_command_parses(page):
    for _, code in blocks(page, "sh"):
        for command in re.split(r"\n|&&", code.replace("\\\n", " ")):
            words = shlex.split(command, comments=True)
            if not words or Path(words[0]).name != "adhere" or "--help" in words:
                continue
            verb = parsed(words[1:])
            if verb.command.name in ("draw", "maps"):
                given = {n: verb.params[n] for n in ("method", "set", "official", "baseline")}
                chosen = Chosen(**{n: v for n, v in given.items() if v})
                chosen_methods(chosen, verb.params["model"] or "mini")


def parsed(words):
    """The context of a verb."""
    root = Verbs(VERBS, name="adhere")
    context = root.make_context("adhere", list(words))
    name, command, rest = root.resolve_command(context, list(words))
    if isinstance(command, Verbs):
        context = command.make_context(name, list(rest), parent=context)
        name, command, rest = command.resolve_command(context, list(rest))
    return command.make_context(name, rest, parent=context, resilient_parsing=not rest)


@pytest.mark.parametrize("page", LISTED, ids=page_id)
def test_a_page_lists_the_parameters_of_its_class(page):
    """`python docs/make_methods.py` writes them, and the tables to choose from."""
    kind = LISTED[page]
    listed = between(page.read_text(encoding="utf-8"), "parameters")
    assert listed == parameters(kind)
    assert all(f"\n| `{one.name}` | " in listed for one in fields(kind))


@pytest.mark.parametrize("group", GROUPS)
def test_the_tables_to_choose_from_say_what_the_pages_say(group):
    assert between(CHOOSING.read_text(encoding="utf-8"), group) == choice(group)


def test_every_method_is_to_be_chosen_once():
    rows = "".join(choice(group) for group in GROUPS)
    assert sorted(re.findall(r"\(methods/(.*?)\.md\)", rows)) == sorted(adhere.METHODS)


def test_every_named_error_has_a_section():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for name, kind in vars(errors).items():
        is_error = isinstance(kind, type) and issubclass(kind, errors.AdhereError)
        if is_error and kind is not errors.AdhereError:
            section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
            for part in ("**Symptom.**", "**Cause.**", "**Cure.**", f"# raises {name}"):
                assert part in section, f"{name}: {part}"


def test_the_index_lists_every_page():
    listed = _LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= set(listed)


def test_the_command_line_page_has_every_command_and_option():
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    verbs = [verb for verb in VERBS if verb != "evaluate"]
    verbs += [f"evaluate {part}" for part in PARTS]
    options = set()
    for verb in verbs:
        for parameter in parsed(verb.split()).command.params:
            options |= {option for option in parameter.opts if option.startswith("--")}
    verbs.append("evaluate")
    assert {verb for verb in verbs if f"\n## `adhere {verb}`\n" in page} == {*verbs}
    assert {option for option in options if option not in page} == set()


def test_every_public_name_is_on_one_page_of_the_api():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    named = re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted({*named})
    there = []
    for path in named:
        try:
            there.append(importlib.import_module(path))
        except ImportError:
            home, _, name = path.rpartition(".")
            there.append(getattr(importlib.import_module(home), name))
    for name in set(adhere.__all__) - {"__version__"}:
        assert any(getattr(adhere, name) is one for one in there), f"{name} is on no page"
