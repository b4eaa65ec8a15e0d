"""The page of `jaxcnn.page` in a browser, from a file: its numbers are backprop's, and it steps."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browsing import Windows, chromium, needs_chromium

import jaxcnn
from jaxcnn.layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    Scale,
    Serial,
    serial,
)
from jaxcnn.models import conv_pool_dense, fast_mnist, lenet5, ray_cnn
from jaxcnn.page import page as page_of

pytestmark = needs_chromium

AWKWARD = serial(
    conv=Conv(
        4, (3, 2), stride=(2, 1), padding=((2, 1), (0, 1)), dilation=(1, 2), groups=2,
        input_dilation=(1, 2), use_bias=False,
    ),
    tanh=Activation(jaxcnn.tanh),
    drop=Dropout(),
    average=AvgPool(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    half=Scale(0.5),
    largest=MaxPool((2, 3), stride=1, padding=((1, 0), (1, 1)), dilation=(2, 1)),
    counted=AvgPool((2, 2), stride=1, padding=1, ceil_mode=True),
    rows=Dense(3),
    sigmoid=Activation(jaxcnn.sigmoid),
    whole=GlobalAvgPool(),
)  # fmt: skip
NETS = {
    "lenet5": (lenet5(), (32, 32, 1)),
    "lenet5 of 1998": (lenet5("1998"), (32, 32, 1)),
    "lenet5 of the paper": (lenet5("paper"), (32, 32, 1)),
    "fast_mnist": (fast_mnist(), (28, 28, 1)),
    "conv_pool_dense": (conv_pool_dense(), (13, 12, 2)),
    "conv_pool_dense on signals": (conv_pool_dense(5), (30, 2)),
    "one output": (conv_pool_dense(1), (12, 12, 1)),
    "ray_cnn": (ray_cnn(), (9, 8, 1)),
    "awkward": (AWKWARD, (9, 7, 2)),
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def windows(browser):
    opened = Windows(browser)
    yield opened
    opened.close()


def drawn(name, images=2):
    """A network, its parameters (biases too) and state, and images that are blank in part.

    Blank parts are where rectifiers are at their kink and maxima are not alone.
    """
    net, shape = NETS[name]
    params, state = net.init(jax.random.key(0), shape, dtype=jnp.float32)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [
        leaf + 0.1 * jax.random.normal(key, leaf.shape, jnp.float32)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    x = jax.random.normal(jax.random.key(1), (images, *shape), jnp.float32)
    x = x.at[:, : shape[0] // 2].set(0)
    return net, jax.tree.unflatten(structure, noisy), state, x


def written(folder, *arguments, **settings):
    path = folder / "page.html"
    path.write_text(page_of(*arguments, **settings), encoding="utf-8")
    return path.as_uri()


def shown(window):
    """What the page holds of every layer, the input among them."""
    return window.evaluate(
        "({y: state.answer.y.map(v => [...v]), delta: state.answer.delta.map(v => [...v]),"
        " loss: state.answer.loss, index: state.answer.index})"
    )


def targets_of(name, net, params, state, x):
    """Ray's ideal map; None of the others."""
    if name != "ray_cnn":
        return None
    y = net.apply(params, state, x)[0]
    return jax.random.normal(jax.random.key(5), y.shape, jnp.float32)


def expected(net, params, state, x, found, targets):
    """By `jaxcnn.backprop`, from what the page says that δ begins with."""
    y, _ = net.apply(params, state, x)
    if targets is not None:

        def squared(y, t):
            return 0.5 * jnp.sum((y - t) ** 2)

        return jaxcnn.backprop(net, params, state, x, targets.astype(x.dtype), squared, train=False)
    if y.ndim == 2 and y.shape[1] > 1:
        label, loss = jnp.array([found["index"]]), jaxcnn.softmax_cross_entropy
        return jaxcnn.backprop(net, params, state, x, label, loss, train=False)
    delta = jnp.zeros(y.size, y.dtype).at[found["index"]].set(1).reshape(y.shape)
    return jaxcnn.backprop(net, params, state, x, delta=delta, train=False)


def leaves(net, params, deltas):
    """The layers one after the other, with their parameters and their δ."""
    for name, layer in net.children:
        inside = params.get(name, {}), deltas[name]
        if isinstance(layer, Serial):
            yield from leaves(layer, *inside)
        else:
            yield layer, *inside


@pytest.mark.parametrize("name", NETS)
def test_its_numbers_are_those_of_backprop(name, windows, tmp_path):
    net, params, state, x = drawn(name)
    targets = targets_of(name, net, params, state, x)
    window = windows.open(written(tmp_path, net, params, state, x, targets=targets))
    window.locator("#images button").nth(1).click()
    window.wait_for_function("state.image === 1 && !waiting")
    found = shown(window)
    wanted_target = None if targets is None else targets[1:]
    for dtype, tolerance in ((jnp.float64, 1e-11), (jnp.float32, 1e-5)):
        cast = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), (params, x[1:]))
        back = expected(net, cast[0], state, cast[1], found, wanted_target)
        outputs, deltas = [cast[1]], [back.input_delta]
        for layer, own, delta in leaves(net, cast[0], back.deltas):
            outputs.append(layer.apply(own, state, outputs[-1])[0])
            deltas.append(delta)
        pairs = [*zip(found["y"], outputs, strict=True), *zip(found["delta"], deltas, strict=True)]
        for mine, theirs in pairs:
            size = float(jnp.abs(theirs).max())
            np.testing.assert_allclose(mine, np.ravel(theirs), rtol=0, atol=tolerance * size)
        if back.loss is not None:
            assert found["loss"] == pytest.approx(float(back.loss), rel=tolerance)


@pytest.mark.parametrize("name", NETS)
def test_every_element_is_the_sum_of_what_is_said_to_make_it(name, windows, tmp_path):
    net, params, state, x = drawn(name)
    window = windows.open(written(tmp_path, net, params, state, x))
    worst = window.evaluate(
        """() => { let worst = 0; const {layers} = state.source, last = layers.length - 1;
        for (let layer = 0; layer <= last; layer++) for (const half of ["y", "delta"]) {
          if (half === "y" ? layer === 0 : layer === last) continue;
          const values = state.answer[half][layer], size = largest(values) || 1;
          for (let k = 0; k < 5; k++) {
            const index = Math.floor(k * (values.length - 1) / 4);
            const {value, terms, bias, curve} = state.source.explain({half, layer, index});
            const sum = terms.reduce((s, t) => s + t.value * t.weight, bias ?? 0);
            const made = curve ? {tanh: Math.tanh, sigmoid: v => 1 / (1 + Math.exp(-v))}[
              layers[layer].kind](terms[0].value) : sum;
            worst = Math.max(worst, Math.abs(made - values[index]) / size,
              Math.abs(value - values[index]));
          } } return worst; }"""
    )
    assert worst < 1e-12


def test_the_weights_are_called_as_in_the_parameters(windows, tmp_path):
    for name, layer, array in (
        ("lenet5", 3, ("c3", "kernel")), ("conv_pool_dense on signals", 3, ("conv2", "kernel")),
        ("lenet5", 7, ("c5", "weight")), ("awkward", 0, ("conv", "kernel")),
    ):  # fmt: skip
        net, params, state, x = drawn(name)
        window = windows.open(written(tmp_path, net, params, state, x))
        terms = window.evaluate(
            f"state.source.explain({{half: 'delta', layer: {layer}, index: 31}}).terms"
        )
        assert terms
        for term in terms:
            place = tuple(map(int, re.findall(r"\d+", term["name"])))
            assert term["weight"] == float(params[array[0]][array[1]][place])


# By hand -----------------------------------------------------------------------------------------


@pytest.fixture
def lenet(windows, tmp_path):
    """A function that opens the page of a LeNet-5 that has two epochs behind it."""
    net, params, state, x = drawn("lenet5", images=3)
    before = jax.tree.map(lambda leaf: leaf / 2, params)
    address = written(
        tmp_path, net, params, state, x, labels=np.array([3, 1, 4]), epochs={"as drawn": before},
        ink=20,
    )  # fmt: skip
    return lambda *size, **settings: windows.open(address, *size, **settings)


def heading(window):
    window.wait_for_selector("#element:not([hidden])")
    return window.inner_text("#element h2")


def place_of(window, layer, half, index):
    """Where an element stands on the screen, scrolled into view."""
    canvas = window.locator(".layer").nth(layer).locator("canvas").nth(half)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y, w, h = canvas.evaluate(f"canvas => boxOf(canvas.layout, {index})")
    return box["x"] + x + w / 2, box["y"] + y + h / 2


def test_an_example_is_told_where_there_is_room_for_it(lenet):
    assert heading(lenet()).startswith("δ of s2[")
    narrow = lenet(390)
    narrow.wait_for_timeout(200)
    assert narrow.is_hidden("#element")


def test_a_click_on_a_delta_tells_which_ones_above_made_it(lenet):
    window = lenet()
    index = window.evaluate("state.answer.delta[3].indexOf(Math.max(...state.answer.delta[3]))")
    window.mouse.click(*place_of(window, 3, 1, index))
    row, column, number = index // 6 // 14, index // 6 % 14, index % 6
    assert heading(window).startswith(f"δ of s2[{row}, {column}, {number}] = ")
    assert "Through c3 (conv): ∂x = full(dilate(δ), rot180(k))" in window.inner_text("#how")
    assert window.inner_text("#sum").startswith("δ = Σ δ′ · ∂y/∂x = ")
    first = window.locator("#element tbody tr").first
    above, delta, weight, _ = first.locator("td").all_inner_texts()
    assert re.fullmatch(r"c3\[\d+, \d+, \d+\]", above)
    assert re.search(rf"k\[\d, \d, {number}, \d+\]", weight)
    assert window.locator("#patches canvas").count() >= 3
    total = window.locator("#element tbody tr").count()
    window.click("#more")
    window.wait_for_function(f"document.querySelectorAll('#element tbody tr').length > {total}")
    first.locator("button").click()
    window.wait_for_function("state.chosen.layer === 4")
    assert heading(window).startswith(f"δ of {above} = {delta}")


def test_a_click_on_an_output_tells_what_it_was_computed_from(lenet):
    window = lenet()
    window.mouse.click(*place_of(window, 1, 0, 6 * (28 * 5 + 7) + 2))
    assert heading(window).startswith("y of c1[5, 7, 2] = ")
    assert window.inner_text("#sum").endswith(window.inner_text("#element h2").split(" = ")[1])
    assert "(bias)" in window.inner_text("#sum")
    window.keyboard.press("Escape")
    assert window.is_hidden("#element")


def test_it_steps_forward_and_back_by_the_buttons_and_the_keys(lenet):
    window = lenet()
    window.click("#first")
    assert window.inner_text("#step") == "Step 0 of 26: the input"
    assert window.locator(".later").count() == 25
    window.keyboard.press("ArrowRight")
    assert window.inner_text("#step") == "Step 1 of 26: forward through c1"
    assert heading(window).startswith("y of c1[")
    for _ in range(13):
        window.click("#forth")
    assert window.inner_text("#step").startswith("Step 14 of 26: δ of output: δ comes from class")
    assert re.search(
        r"δ = softmax\(y\) − \[k = t\] = .* for the class t = ", window.inner_text("#sum")
    )
    window.keyboard.press("ArrowRight")
    assert window.inner_text("#step") == "Step 15 of 26: back through output: δ of f6_activation"
    window.keyboard.press("ArrowLeft")
    window.keyboard.press("ArrowLeft")
    assert re.match(r"Step 13 of 26: E = [\d.]+; now back", window.inner_text("#step"))
    window.keyboard.press("End")
    assert window.locator(".later").count() == 0


def test_elements_are_reached_by_the_keyboard_alone(lenet):
    window = lenet()
    window.locator(".layer canvas").nth(5).focus()
    window.keyboard.press("Enter")
    start = window.evaluate("state.chosen")
    assert (start["half"], start["layer"]) == ("delta", 2)
    window.evaluate("choose({half: 'delta', layer: 2, index: 6 * (28 * 3 + 4) + 1})")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "."):
        window.keyboard.press(key)
    assert heading(window).startswith("δ of c1_activation[3, 5, 2]")
    row = window.locator("#place input").first
    row.fill("9")
    window.wait_for_function(
        "document.querySelector('#element h2').textContent.includes('[9, 5, 2]')"
    )
    row.fill("99")
    assert window.evaluate("state.chosen.index") == 6 * (28 * 9 + 5) + 2
    magnified = window.locator("#magnified").bounding_box()
    window.mouse.click(magnified["x"] + 5, magnified["y"] + 5)
    window.wait_for_function("state.chosen.index === 2")


def test_delta_begins_where_one_chooses_and_epochs_change_the_numbers(lenet):
    window = lenet()
    before = shown(window)
    window.locator(".class").nth(7).click()
    window.wait_for_function("state.answer.index === 7")
    window.locator("#starts input").nth(1).check()
    window.wait_for_function("state.answer.start === 'unit'")
    found = shown(window)
    assert sorted(found["delta"][-1]) == [0.0] * 9 + [1.0]
    assert found["loss"] == found["y"][-1][found["index"]]
    window.locator("#epochs").focus()
    window.keyboard.press("ArrowLeft")
    window.wait_for_function("state.epoch === 0 && !waiting")
    assert window.inner_text("#epoch-name") == "as drawn"
    np.testing.assert_allclose(shown(window)["y"][1], np.divide(before["y"][1], 2), atol=1e-6)


def test_delta_begins_at_the_output_that_one_chooses(windows, tmp_path):
    net, params, state, x = drawn("ray_cnn")
    targets = targets_of("ray_cnn", net, params, state, x)
    window = windows.open(written(tmp_path, net, params, state, x, targets=targets))
    assert "δ comes from the difference to the target" in window.inner_text("#status")
    window.mouse.click(*place_of(window, 3, 0, 7))
    assert heading(window).startswith("y of pool[2, 1, 0] = ")
    window.click("#begin")
    window.wait_for_function("state.answer.index === 7 && !waiting")
    assert window.locator("#starts input").nth(1).is_checked()
    assert np.flatnonzero(shown(window)["delta"][-1]).tolist() == [7]
    assert "δ begins with 1 at pool[2, 1, 0]" in window.inner_text("#status")


def test_drawings_are_put_into_the_middle_as_mnist_has_them(lenet):
    window = lenet()
    box = window.locator("#pad").bounding_box()
    corner = box["x"] + 0.15 * box["width"], box["y"] + 0.1 * box["height"]
    window.mouse.move(*corner)
    window.mouse.down()
    window.mouse.move(corner[0], corner[1] + 0.3 * box["height"], steps=5)
    window.mouse.up()
    window.wait_for_function("state.image === null && !waiting")
    drawing = np.reshape(window.evaluate("[...state.answer.y[0]]"), (32, 32))
    rows, columns = np.nonzero(drawing > 0.1)
    assert rows.max() - rows.min() + 1 == pytest.approx(20, abs=1)
    assert rows.mean() == pytest.approx(15.5, abs=0.6)
    assert columns.mean() == pytest.approx(15.5, abs=0.6)
    assert drawing.max() == pytest.approx(1, abs=0.01)
    window.click("#clear")
    window.wait_for_function("largest(state.answer.y[0]) === 0")
    assert "empty image" in window.inner_text("#status")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(width, scheme, lenet):
    window = lenet(width, color_scheme=scheme, has_touch=width == 390)
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    place = place_of(window, 3, 1, 6 * (14 * 3 + 5) + 2)
    (window.touchscreen.tap if width == 390 else window.mouse.click)(*place)
    assert heading(window).startswith("δ of s2[3, 5, 2]")
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    sheet = window.locator("#element").bounding_box()
    assert sheet["x"] >= 0
    assert sheet["x"] + sheet["width"] <= width
    canvas = window.locator(".layer").nth(3).locator("canvas").nth(1).bounding_box()
    if width == 390:  # what was chosen is not under what is said of it
        assert canvas["y"] < sheet["y"]
    paper = window.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_step_takes_less_than_50_milliseconds(lenet):
    """With the network run anew; the quickest of five tries, since other work may run beside it."""
    window = lenet()
    taken = window.evaluate(
        """() => Array.from({length: 135}, (_, i) => { const begun = performance.now();
        state.source.look({drawing: null, image: i % 3, start: state.start, epoch: 1});
        go(i % 27); return performance.now() - begun; })"""
    )
    assert np.reshape(taken, (5, 27)).min(0).mean() < 50
