"""The page of results says what the records say, cell by cell."""

import re

import pytest

from docs import results, speed, tables


def tables_in(page):
    """Every table of a page in Markdown: its lines, as cells without marks."""
    for block in re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        yield [[re.sub(r"[\\`]", "", cell).strip() for cell in line] for line in lines[2:]]


def says(cell, value):
    """Whether a cell says it: words as they are, numbers to the digits that it shows."""
    if not isinstance(value, int | float | list):
        return cell == (value or "–")
    wanted = value if isinstance(value, list) else [value]
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", cell)
    return len(found) == len(wanted) and all(
        abs(float(shown.replace(",", "")) - number)
        <= 0.5001 * 10.0 ** -len(shown.partition(".")[2])
        for shown, number in zip(found, wanted, strict=True)
    )


def differing(page, expected):
    """The cells of a page that do not say what they should."""
    found = list(tables_in(page))
    assert [len(table) for table in found] == [len(table) for table in expected]
    return [
        (cell, value)
        for lines, wanted in zip(found, expected, strict=True)
        for line, values in zip(lines, wanted, strict=True)
        for cell, value in zip(line, values, strict=True)
        if not says(cell, value)
    ]


def seconds(number):
    """As minutes and seconds, where there are minutes."""
    return number if number < 90 else [n for n in divmod(round(number), 60) if n]


def results_expected():
    """The cells of the page of results, from the records."""
    measured = tables.record("benchmark")
    yield [
        [f"python -m experiments.train {r['preset']}",
         [r["accuracy"], 1] if r["seeds"] == 1
         else [r["accuracy"], r["std"], r["seeds"], r["worst"]],
         r["published"], r["recipe"], seconds(r["seconds"])]
        for r in tables.record("trainings")["runs"]
    ]  # fmt: skip
    yield [
        [f"python -m experiments.{s['name']}{s.get('options', '')}", s["question"],
         [n for what, value in s["measured"].items()
          for n in (*map(float, re.findall(r"[\d.]+", what)), value, s.get("std", {}).get(what))
          if n is not None],
         f"{s['test']}, {s['seeds']} seed{'s' * (s['seeds'] > 1)}", seconds(s["seconds"])]
        for s in tables.record("systems")
    ]  # fmt: skip
    methods = tables.record("attribution")["methods"].items()
    yield [[name, *maps] for name, maps in sorted(methods, key=lambda pair: pair[1][-1])]
    yield [
        [run["run"], run["revision"], run["machine"], run["dtype"],
         ", ".join(map(" ".join, run["versions"].items())), run["rows"], [run["held"], run["bars"]]]
        for run in measured["runs"]
    ]  # fmt: skip
    heads = ("autodiff", "autodiff-options", "torch", "default")
    yield [
        [f"{o['kind']} ({o['rows']})", *(o.get(head) for head in heads), o["pairs"], o["run"]]
        for o in measured["operations"]
    ]
    steps = measured["steps"]
    peers = [p for p in speed.PEERS if any(p in step["milliseconds"] for step in steps)]
    yield [
        [
            f"{s['network']} ({s['images']})",
            *map(s["milliseconds"].get, peers),
            s["pairs"],
            s["run"],
        ]
        for s in steps
    ]
    yield [[s["network"], *map(s["ratios"].get, heads)] for s in steps]
    yield [[s["network"], s["compile"], s["temporaries"]] for s in steps if "compile" in s]
    for group in speed.OTHERS:
        lines = [line for line in measured["others"] if line["row"].startswith(f"{group}/")]
        names = [n for n in (*heads, *speed.SPECIAL) if any(n in line["ratios"] for line in lines)]
        ours = "jaxcnn" if any("jaxcnn" in o["milliseconds"] for o in lines) else "jaxcnn-default"
        if lines:
            yield [
                [line["row"].removeprefix(f"{group}/"), line["milliseconds"].get(ours),
                 *map(line["ratios"].get, names), line["pairs"], line["run"]]
                for line in lines
            ]  # fmt: skip


def test_results_say_what_the_records_say():
    """Cell by cell, each with the number that belongs there."""
    page = results.results_page()
    expected = list(results_expected())
    assert differing(page, expected) == []
    for run in tables.record("benchmark")["runs"]:
        for missed in run["missed"]:
            assert missed in page.replace("\\", ""), missed


@pytest.mark.parametrize("number", range(8))
def test_a_number_in_another_place_is_noticed(number):
    """In each table two cells of a line change places, or a digit changes."""
    page, expected = results.results_page(), list(results_expected())
    block = re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE)[number]
    line = block.splitlines()[2]
    cells = line.split("|")
    i = next(i for i in range(2, len(cells) - 2) if cells[i] != cells[i + 1])
    cells[i : i + 2] = cells[i + 1], cells[i]
    assert differing(page.replace(line, "|".join(cells)), expected)
    digit = [*re.finditer(r"\d", line)][-1].start()
    other = str((int(line[digit]) + 3) % 10)
    assert differing(page.replace(line, line[:digit] + other + line[digit + 1 :]), expected)
