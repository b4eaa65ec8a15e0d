"""The page of `experiments.demo` in a browser: digits drawn with the mouse, and what it shows."""

import io
import math
import re

import pytest
from browsing import Windows, chromium, needs_chromium
from PIL import Image
from serving import served

from experiments import train
from experiments.looking.opened import open_run
from experiments.looking.page import Section
from experiments.looking.page import page as report_page

pytestmark = needs_chromium

# In parts of the canvas's side, as a hand would draw them.
DIGITS = {
    1: [(0.52, 0.15 + 0.07 * i) for i in range(11)],
    0: [(0.5 + 0.22 * math.sin(i / 2), 0.5 - 0.32 * math.cos(i / 2)) for i in range(14)],
    7: [(0.25, 0.22), (0.5, 0.22), (0.75, 0.22), (0.6, 0.5), (0.45, 0.82)],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page of a network that has learned for a few seconds is served."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    few = ["--epochs", "4", "--rotation", "0", "--zoom", "0", "--no-progress"]
    assert train.main([*few, "--run-dir", str(folder)]) == 0
    with served(open_run(folder)) as port:
        yield f"http://localhost:{port}"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser, address):
    """A function that opens the page in a window of its own; no script in it may fail."""
    windows = Windows(browser)
    yield lambda *size, **settings: windows.open(address, *size, **settings)
    windows.close()


def draw(page, digit):
    page.click("#clear")
    box = page.locator("#pad").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in DIGITS[digit]]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


def wait_for_answer(page, digit):
    page.wait_for_selector(f'#status[data-predicted="{digit}"]', timeout=10_000)


def test_drawn_digits_are_read(opened, tmp_path):
    page = opened()
    for digit in DIGITS:
        draw(page, digit)
        wait_for_answer(page, digit)
        text = page.inner_text("#status")
        found = re.match(rf"This looks like {digit}; δ comes from class (\d)\.", text)
        assert found is not None
        assert int(found[1]) != digit  # the one that is second
    assert page.locator(".class").count() == 10
    headings = page.locator(".layer h3").all_inner_texts()
    assert [text.split(":")[0] for text in headings][:3] == ["input", "c1", "c1_activation"]
    image, *scales = page.locator(".scale").all_inner_texts()
    assert image == "from black to white"
    assert all(re.fullmatch(r"up to ±[\d.·⁻⁰-⁹¹²³]+|all zero", text) for text in scales)
    path = tmp_path / "page.png"
    page.screenshot(path=str(path), full_page=True)
    assert path.stat().st_size > 20_000


def test_delta_comes_from_the_class_that_is_chosen(opened):
    page = opened()
    draw(page, 1)
    wait_for_answer(page, 1)
    page.locator(".class").nth(4).click()
    page.wait_for_selector('.class:nth-child(6)[aria-pressed="true"]')
    assert "looks like 1; δ comes from class 4" in page.inner_text("#status")
    page.click("#clear")
    page.wait_for_selector("#status:not([data-predicted])")
    assert page.inner_text("#status").startswith("Draw: what stands here is of an empty")


def test_two_browsers_at_once_each_have_their_own_answer(opened):
    one, other = opened(), opened()
    for first, second in ((1, 0), (0, 7)):
        draw(one, first)
        draw(other, second)
        wait_for_answer(one, first)
        wait_for_answer(other, second)


def ink(page):
    """How many pixels of the drawing are bright, in its left and in its right half."""
    return page.evaluate(
        """() => { const pad = document.getElementById("pad"), side = pad.width;
        const data = pad.getContext("2d").getImageData(0, 0, side, side).data, found = [0, 0];
        for (let i = 0; i < side * side; i++)
          if (data[4 * i] > 128) found[(i % side) * 2 < side ? 0 : 1]++;
        return found; }"""
    )


def test_only_the_first_finger_and_the_main_button_draw(opened):
    page = opened(390, has_touch=True)
    box = page.locator("#pad").bounding_box()

    def at(x, y):
        return {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}

    page.mouse.move(*at(0.3, 0.3).values())
    page.mouse.down(button="right")
    page.mouse.move(*at(0.3, 0.8).values())
    page.mouse.up(button="right")
    assert ink(page) == [0, 0]

    hand = page.context.new_cdp_session(page)

    def touch(kind, *places):
        fingers = [{**at(*place), "id": number} for number, place in enumerate(places)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (0.25, 0.2))
    touch("touchMove", (0.25, 0.5))
    touch("touchStart", (0.25, 0.5), (0.8, 0.5))  # a second finger
    touch("touchMove", (0.25, 0.8), (0.8, 0.8))
    touch("touchEnd")
    left, right = ink(page)
    assert left > 1000
    assert right == 0
    assert page.evaluate("window.scrollY") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(width, opened):
    page = opened(width)
    draw(page, 0)
    wait_for_answer(page, 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_a_click_on_a_delta_tells_which_ones_above_made_it(width, opened):
    page = opened(width)
    draw(page, 7)
    wait_for_answer(page, 7)
    canvas = page.locator(".layer").nth(3).locator("canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    index = page.evaluate("state.answer.delta[3].indexOf(Math.max(...state.answer.delta[3]))")
    x, y, w, h = canvas.evaluate(f"canvas => boxOf(canvas.layout, {index})")
    canvas.click(position={"x": x + w / 2, "y": y + h / 2})
    page.wait_for_selector("#element:not([hidden])")
    place = f"[{index // 6 // 14}, {index // 6 % 14}, {index % 6}]"
    assert page.inner_text("#element h2").startswith(f"δ of s2{place} = ")
    assert page.inner_text("#how").startswith("Through c3 (conv): ∂x = full(dilate(δ), rot180(k))")
    above = page.locator("#element tbody button").first
    name = above.inner_text()
    assert re.fullmatch(r"c3\[\d+, \d+, \d+\]", name)
    above.click()
    page.wait_for_function("state.chosen.layer === 4")
    page.wait_for_function(f"$('element').children[1].textContent.startsWith('δ of {name} = ')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".layer").nth(1).locator("canvas").nth(0).click(position={"x": 9, "y": 9})
    page.wait_for_function("$('element').children[1].textContent.startsWith('δ of c1[')")


def test_a_server_that_is_gone_is_told(opened):
    page = opened()
    page.route("**/look", lambda route: route.fulfill(status=413, json={"error": "too large"}))
    draw(page, 1)
    page.wait_for_selector("#status.wrong")
    assert re.fullmatch(r"No answer: too large", page.inner_text("#status"))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_of_inspect_is_no_wider_than_the_window(width, browser, tmp_path):
    image = io.BytesIO()
    Image.new("L", (3000, 200)).save(image, "PNG")
    wide = [("a", "An image " * 30, image.getvalue()), ("b", "Another.", image.getvalue())]
    sections = [Section("Title " * 20, "Text", "formula" * 40, wide), Section("name/" * 60, "")]
    path = tmp_path / "report.html"
    path.write_text(report_page("Report", "Introduction", sections), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900})
    shown = context.new_page()
    shown.goto(path.as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [shown.locator("img").nth(i).bounding_box() for i in range(2)]
    formula = shown.locator(".formula").bounding_box()
    side_by_side = boxes[0]["y"] == pytest.approx(boxes[1]["y"])
    beside = formula["x"] + formula["width"] <= boxes[0]["x"]
    assert (side_by_side, beside) == ((False, False) if width == 390 else (True, True))
    context.close()
