"""The page in a real browser and under attack, served by the folder of a Space."""

import base64
import html
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest

import adhere
from adhere.drawing.loading import load
from adhere.drawing.png import image_png
from adhere.drawing.request import checked_size
from adhere.figures.trace import COLOURS, PALE
from adhere.methods.watch import watched
from doors import saved

pytest.importorskip("gradio", reason="the page needs the extra `app`")
sync_api = pytest.importorskip("playwright.sync_api", reason="the browser needs playwright")

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; `.ci/chromium` installs it"
)
# `ADHERE_SCREENSHOTS=docs/pictures python -m pytest -n 0 tests/test_app.py -k fits` makes the
# screenshots of the documentation.
SCREENSHOTS = os.environ.get("ADHERE_SCREENSHOTS")
STEPS = 50 if SCREENSHOTS else 3
PATIENCE = 180_000  # of waiting, in milliseconds, on a machine that does much else
SIZE = "Size, guidance and negative prompt"
HOSTILE_PROMPT = "a green frog and a <b>cat</b> on a hill ${1+1} {{value}} {{#each x}}"


def free_port():
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


class Server:
    """The page in a process of its own, as a Space starts it, with everything that it says."""

    def __init__(self, folder, **variables):
        self.space, self.temporary = folder / "space", folder / "tmp"
        shutil.copytree(ROOT / "recipes/space", self.space)
        self.home = folder / "home"
        self.temporary.mkdir()
        self.home.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        # Whatever would leave this machine goes here first.
        self.outside = socket.create_server(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{self.outside.getsockname()[1]}"
        away = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}
        said = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
        told = {"TMPDIR": str(self.temporary), "HOME": str(self.home)}
        told["PYTHONDONTWRITEBYTECODE"] = "1"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=self.space,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT / "src"),
                    **said,
                    **told,
                    **away,
                    **variables,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        for _ in range(6_000):
            try:
                self.config = json.loads(self.get("/config")[1])
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def get(self, path, data=None, headers=None):
        """Status and text of an answer."""
        request = urllib.request.Request(self.url + path, data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def post(self, path, value):
        data = json.dumps(value).encode()
        return self.get(path, data, {"Content-Type": "application/json"})

    def call(self, number, data, session):
        """Everything that the queue says of one call of the page's function of that number."""
        call = {"fn_index": number, "data": data, "session_hash": session, "event_data": None}
        status, text = self.post("/gradio_api/queue/join?", call)
        if status != 200:
            return text
        return text + self.get(f"/gradio_api/queue/data?session_hash={session}")[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("app"))
    yield made
    made.process.terminate()
    status = made.process.wait(30)
    made.outside.setblocking(False)
    with made.outside, pytest.raises(BlockingIOError):
        made.outside.accept()
    assert status == 0
    assert not list(made.temporary.iterdir()), "the temporary folder is left behind"
    # Loading a model keeps its fingerprint, here as everywhere.
    kept = {one.parent.name for one in made.home.rglob("*") if one.is_file()}
    assert kept <= {"weights"}, "the page writes outside its temporary folder"
    left = {one.name for one in made.space.iterdir()}
    assert left == {one.name for one in (ROOT / "recipes/space").iterdir()}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(server, browser):
    """A new visitor; the page may speak to nobody but its own server, and make no error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened, elsewhere, errors = context.new_page(), [], []
    opened.on("request", lambda request: elsewhere.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    opened.goto(server.url)
    opened.wait_for_selector("#words .highlighted")
    yield opened
    context.close()
    assert not errors
    assert all(url.startswith((server.url, "data:", "blob:")) for url in elsewhere), elsewhere


def word(page, text, colours=None):
    """A word of the prompt that is a button, with a background of the colours, or without any."""
    place = page.locator("#words [role=button]", has_text=re.compile(rf"^\W*{text}\W*$"))
    if colours is None:
        return place
    red = [
        f"[style*='({', '.join(str(int(c[i : i + 2], 16)) for i in (1, 3, 5))},']" for c in colours
    ]
    return place.and_(page.locator(", ".join(red) or ":not([style*=rgb])"))


def draw(page, steps=3):
    page.get_by_label("Steps").fill(str(steps))
    page.get_by_label("Steps").blur()
    page.get_by_role("button", name="Draw", exact=True).press("Enter")


def fill_fold(page, fold, **texts):
    """Opens a fold and types into its fields.

    Gradio sets the first values of a fold's fields just after it opens, so a field is typed into
    until it keeps what was typed.
    """
    page.get_by_role("button", name=fold).press("Enter")
    for label, text in texts.items():
        field = page.get_by_label(label.replace("_", " "))
        for _ in range(20):
            field.fill(text)
            field.blur()
            page.wait_for_timeout(500)
            if field.input_value() == text:
                break


@needs_browser
def test_subjects_are_marked_as_one_types_and_a_click_corrects_them(page):
    page.get_by_label("Prompt", exact=True).fill(HOSTILE_PROMPT)
    word(page, "green", PALE[:1]).wait_for()
    assert word(page, "frog", COLOURS[:1]).count() == 1
    assert word(page, "cat", COLOURS[1:2]).count() == 1
    shown = page.locator("#words .textfield").inner_text()
    assert "".join(shown.split()) == "".join(HOSTILE_PROMPT.split())
    page.get_by_text("Subjects: green frog, cat").wait_for()
    word(page, "green").focus()
    page.keyboard.press("Enter")
    word(page, "green", []).wait_for()
    assert page.evaluate("document.activeElement.innerText").strip() == "green"
    page.keyboard.press("Enter")
    word(page, "green", COLOURS[:1]).wait_for()
    fill_fold(page, SIZE, Negative_prompt="<img src=x onerror=alert(1)>")
    draw(page)
    page.wait_for_selector(".maps")
    page.get_by_text("subjects=[").wait_for()
    assert page.locator(".maps figure").count() >= 8


@needs_browser
def test_drawing_comparing_and_loading_the_recipe_again(page, tmp_path):
    page.get_by_label("Seed").fill("3")
    draw(page)
    page.wait_for_selector(".maps")
    handle = page.get_by_role("slider", name="How much of the baseline")
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".slider").evaluate("e => e.style.getPropertyValue('--at')") == "51%"
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Nursed").click()
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    recipe = adhere.read_recipe(saved)
    assert (recipe.prompt, recipe.seed, recipe.steps) == ("a red bowl and a blue clock", 3, 3)
    page.get_by_label("Prompt", exact=True).fill("a dog")
    page.get_by_label("Seed").fill("4")
    page.set_input_files("input[type=file]", saved)
    page.get_by_text("Loaded the recipe of seed 3").wait_for()
    assert page.get_by_label("Prompt", exact=True).input_value() == recipe.prompt
    assert page.get_by_label("Seed").input_value() == "3"
    page.get_by_label("Steps").fill("1")
    page.get_by_label("Steps").blur()
    # Small, for some methods search long before their one step.
    fill_fold(page, SIZE, Width="32", Height="32")
    page.get_by_role("button", name="Compare all methods").click()
    page.wait_for_function(
        f"document.querySelectorAll('.grid figure').length == {len(methods()) + 1}",
        timeout=3 * PATIENCE,
    )
    # A method whose idea has no meaning for a U-Net says so in its cell.
    refused = page.locator(".grid figure:has([role=alert])").all_inner_texts()
    assert all("taca" in text for text in refused), refused


@needs_browser
def test_a_method_brings_its_own_fold_whose_numbers_are_drawn_with(page):
    chosen = next(name for name in methods() if name.startswith("token"))
    page.get_by_label("Method").click()
    page.get_by_role("option", name=chosen).click()
    fold = page.get_by_role("button", name="Parameters of")
    fill_fold(page, f"Parameters of {chosen}", alpha="3")
    assert fold.count() == 1
    fill_fold(page, SIZE, Width="96")
    draw(page)
    page.wait_for_selector(".maps")
    line = page.get_by_text("adhere draw --method").inner_text()
    assert f"--method={chosen}" in line and "--set=alpha=3" in line and "--size=96x128" in line
    assert page.locator(".slider img").first.evaluate("e => e.naturalWidth") == 96


def methods():
    return [name for name, kind in adhere.METHODS.items() if not kind.needs_boxes]


@needs_browser
def test_cancelling_ends_a_drawing_within_a_step_and_mistakes_get_a_line(page):
    draw(page, steps=100)
    for number in range(2, 5):
        page.get_by_text(re.compile(rf"\b([{number}-9]|[1-9]\d)/100")).first.wait_for()
    page.get_by_role("button", name="Cancel").press("Enter")
    page.get_by_text("Cancelled").wait_for(timeout=60_000)
    assert page.locator("#result img").count() == 0
    page.get_by_label("Prompt", exact=True).fill("?")
    page.get_by_text("No subject is marked").first.wait_for()
    draw(page)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "No subject is marked" in alert.inner_text()


@needs_browser
def test_a_prompt_of_100_000_characters_gets_a_line_and_the_page_goes_on(page):
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a cat " * 16_667)
    page.locator("#said [role=alert]", has_text="Shorten the prompt to 2,000").wait_for()
    draw(page)
    page.locator("#result [role=alert]", has_text="Shorten the prompt to 2,000").wait_for()
    prompt.fill("a cat")
    page.get_by_text("Subjects: cat.").wait_for()


@needs_browser
def test_the_tab_key_reaches_every_control_in_order(page):
    page.get_by_label("Prompt", exact=True).focus()
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.getAttribute('aria-label') || e.innerText"
                " || e.closest('label')?.innerText || '')(document.activeElement)"
            )
        )
    wanted = "bowl", "Draw", "Method", "Parameters of", "Seed", "Steps", "Size", "Compare", "ecipe"
    places = [next(i for i, text in enumerate(reached) if one in text) for one in wanted[1:]]
    assert places == sorted(places), reached


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits_a_phone_and_a_desk_in_light_and_dark(server, browser, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(server.url)
    opened.wait_for_selector("#words .highlighted")
    draw(opened, steps=STEPS)
    opened.wait_for_selector(".maps")
    opened.wait_for_selector(".vega-embed :is(svg, canvas)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 384) == (scheme == "dark")
    if SCREENSHOTS:
        opened.mouse.move(0, 0)
        opened.screenshot(path=f"{SCREENSHOTS}/app-{width}-{scheme}.png", full_page=True)
    context.close()


HOSTILE = [
    None,
    -1,
    1e308,
    "x" * 100_000,
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": "../../etc/passwd", "orig_name": "../../x.png", "meta": {"_type": "gradio.FileData"}},
    [[[]]],
    {"__type__": "update", "value": {}},
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_no_function_of_the_page_takes_what_it_does_not_expect(server, value):
    for function in server.config["dependencies"]:
        data = [value] * len(function["inputs"])
        said = server.call(function["id"], data, f"hostile{function['id']}{id(value)}")
        assert "Traceback" not in said and "root:" not in said
        assert "<script>" not in said or '"success":false' in said
        assert len(said) < 200_000
    assert server.get("/")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=app.py",
        "/gradio_api/file=%2e%2e%2fetc%2fpasswd",
        "/file=/etc/passwd",
        "/static/../../../../etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:9/",
        "/gradio_api/stream/a/../../etc/passwd",
    ],
)
def test_no_file_outside_its_folder_is_served(server, path):
    status, said = server.get(path)
    assert status >= 400 or "<html" in said
    assert "root:" not in said and "import" not in said.split("<html")[0]


def upload(server, name, data):
    """The path that an uploaded file has on the server."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
        + name.encode()
        + b'"\r\nContent-Type: image/png\r\n\r\n'
        + data
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return server.get("/gradio_api/upload", body, headers)


def loading(server, name, data):
    """What the page says of an uploaded file."""
    status, said = upload(server, name, data)
    if status != 200:
        return said
    path = json.loads(said)[0]
    assert Path(path).resolve().is_relative_to(server.temporary.resolve())
    load = next(f for f in server.config["dependencies"] if f["targets"][0][1] == "upload")
    file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    answer = server.call(load["id"], [file], f"load{time.monotonic_ns()}")
    assert not Path(path).exists(), "an upload is read once, and deleted"
    assert str(server.temporary) not in answer and "Traceback" not in answer
    return answer


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def bomb(width, text=b""):
    header = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    parts = chunk(b"IHDR", header), text, chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


TEXT_BOMB = chunk(b"zTXt", b"adhere\0\0" + zlib.compress(bytes(300_000_000), 9))


@pytest.mark.parametrize(
    "name, data",
    [
        ("broken.png", b"\x89PNG\r\n\x1a\nbroken"),
        ("no-image.png", b"hello"),
        ("empty.png", b""),
        ("bomb.png", bomb(60_000)),
        ("text-bomb.png", bomb(8, TEXT_BOMB)),
        ("no-recipe.png", bomb(8)),
        ("json.png", bomb(8, chunk(b"tEXt", b"adhere\0" + b"[" * 100_000))),
        ("<img src=x onerror=alert(1)>.png", bomb(8)),
        ("../../../../tmp/escaped.png", bomb(8)),
        ("a" * 5_000 + ".png", bomb(8)),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_hostile_file_gets_a_line(server, name, data):
    said = loading(server, name, data)
    assert any(word in said for word in ("alert", "rror", "detail", "exceeded"))
    assert "<img src=x" not in said
    assert not Path("/tmp/escaped.png").exists()
    assert server.get("/")[0] == 200


def test_what_the_page_cannot_draw_with_is_told(server, tmp_path):
    methods = adhere.METHODS
    mover = methods["attend-and-excite"]
    used = [mover(layers="all"), methods["attention-regulation"]()]
    drawing = adhere.draw("a cat and a frog", method=used, steps=1, guidance_scale=60)
    said = loading(server, "two.png", drawing.save(tmp_path)[0].read_bytes())
    assert "cannot draw with attention-regulation, guidance_scale 60, layers, so" in said
    # As the page draws it, watched, which is a sum.
    drawing = adhere.draw("a cat and a frog", method=watched([mover()]), steps=1)
    said = loading(server, "one.png", drawing.save(tmp_path)[0].read_bytes())
    assert "Loaded the recipe" in said and "cannot draw" not in said


def test_a_file_that_is_too_large_is_refused(server):
    status, _ = upload(server, "large.png", bytes(21_000_000))
    assert status == 413


def test_a_link_in_place_of_a_file_is_not_followed(server):
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(2)

        def listen():
            try:
                asked.append(other.accept())
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}/x.png"
        load = next(f for f in server.config["dependencies"] if f["targets"][0][1] == "upload")
        file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
        said = server.call(load["id"], [file], "link")
        listener.join()
    assert not asked and "Traceback" not in said


def drawing(server, session, **fields):
    """What the page answers to a press of Draw with some fields changed, by their labels."""
    drawn = next(f for f in server.config["dependencies"] if len(f["inputs"]) > 20)
    props = {c["id"]: c["props"] for c in server.config["components"]}
    given = {"Steps": 2, "Width": 32, "Height": 32, **fields}
    labels = [props[one].get("label") for one in drawn["inputs"]]
    assert {*given} <= {*labels}
    data = [
        given.get(label, props[one].get("value"))
        for one, label in zip(drawn["inputs"], labels, strict=True)
    ]
    return server.call(drawn["id"], data, session)


FIELDS = ["Prompt", "Method", "Seed", "Steps", "Width", "Guidance", "Negative prompt"]


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_alone_refuses_what_it_does_not_expect(server, field):
    for number, value in enumerate(HOSTILE):
        said = drawing(server, f"field{field}{number}".replace(" ", ""), **{field: value})
        assert "Traceback" not in said and "root:" not in said
        assert "process_completed" in said or "rror" in said
    assert "data:image/png" in drawing(server, f"after{field}".replace(" ", ""))


def test_a_prompt_of_100_000_characters_gets_a_line(server):
    said = drawing(server, "long", Prompt="a cat " * 16_667)
    assert "Shorten the prompt to 2,000 characters." in said and "Traceback" not in said
    assert len(said) < 5_000


def test_two_visitors_at_once_get_each_their_own(server):
    answers = {}

    def visit(text):
        answers[text] = drawing(server, text.replace(" ", ""), Prompt=text)

    visitors = [threading.Thread(target=visit, args=(f"a {w}",)) for w in ("cat", "frog", "dog")]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    for text, said in answers.items():
        found = set(re.findall(r"adhere\.draw\('(a \w+)'", html.unescape(said)))
        assert found == {text}
    encoded = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", answers["a cat"])
    assert base64.b64decode(encoded[0]).startswith(b"\x89PNG")


def test_a_space_draws_with_the_model_that_its_variable_names(tmp_path):
    made = Server(tmp_path, ADHERE_MODEL=str(saved()))
    try:
        shown = {
            c["props"].get("label"): c["props"].get("value") for c in made.config["components"]
        }
        size = checked_size(load(saved()).pipe, None)
        assert (shown["Width"], shown["Height"]) == size != (128, 128)
        assert "data:image/png" in drawing(made, "own", Prompt="a cat", Width=size[0])
    finally:
        made.process.terminate()
        made.process.wait(30)
        made.outside.close()


def test_what_it_draws_is_what_the_library_draws(server):
    plain = adhere.draw("a cat", method=None, steps=2)
    watched = adhere.draw("a cat", method=adhere.Watch(), steps=2)
    assert plain.images[0].tobytes() == watched.images[0].tobytes()
    assert image_png(plain.images[0], plain.recipes[0]).startswith(b"\x89PNG")
