"""What is computed from a benchmark's raw figures, their file, and the tables made of them."""

import json

import pytest

pytest.importorskip("tyro")

from tests.subprocesses import ROOT
from training.benchmark.results import (
    figures,
    ours_beside,
    product_rates,
    read_results,
    write_results,
)
from training.benchmark.tables import input_rows, markdown, render_page, step_rows


def row(name, kind, seconds, **others):
    return {
        "name": name,
        "title": f"the {name}",
        "kind": kind,
        "precision": "float32",
        "times": 2,
        "seconds": seconds,
        "cpu_seconds": [2 * value for value in seconds],
        "values": [1.0],
        "device": "CPU",
        "peak_bytes": 2**29,
        **others,
    }


@pytest.fixture
def results():
    """Ours takes 1 s a step in the middle, theirs twice as long in each round."""
    return {
        "schema": 1,
        "setting": {"model": "resnet20", "batch": 100, "image_size": 32, "steps": 2, "rounds": 3},
        "machine": {"processor": "a processor", "cores": 2, "system": "Linux", "python": "3.11"}
        | {"load_before": 0.5},
        "versions": {"keras": "3.15.1"},
        "rows": [
            row("ours", "step", [2.0, 8.0, 1.0], images=100, macs=10**9, parameters=7),
            row("keras", "step", [4.0, 16.0, 2.0], images=100, macs=10**9, parameters=7),
            row("product", "product", [1.0, 1.0, 1.0], operations=10**12),
            row("memory-ours", "input", [0.5, 0.5, 0.5], images=32),
            row("memory-plain", "input", [5.0, 5.0, 5.0], images=32),
        ],
        "absent": [{"name": "torch", "title": "PyTorch", "why": "torch is not installed"}],
    }


def test_figures_are_medians_a_step(results):
    ours, keras = results["rows"][:2]
    of = figures(keras, ours)
    assert of.seconds == 2.0  # 4 s for 2 steps
    assert (of.low, of.high) == (1.5, 5.0)  # halfway between 1 and 2, and between 2 and 8
    assert (of.cpu_seconds, of.rate, of.cpu_rate) == (4.0, 50.0, 25.0)
    assert of.operations == 6 * 10**9 * 100 / 4.0  # a second of a core
    assert figures({**keras, "device": "a GPU"}, ours).operations == 6 * 10**9 * 100 / 2.0
    once = figures({**ours, "seconds": [3.0], "cpu_seconds": [3.0]}, None)
    assert once.low == once.seconds == once.high == 1.5


def test_the_ratio_is_that_of_turns_in_the_same_round(results):
    """Though the machine was eight times slower in one round than in another."""
    ours, keras = results["rows"][:2]
    keras["seconds"] = [4.0, 16.0, 20.0]  # 2, 2 and 20 times ours; the medians' ratio is 8
    assert figures(keras, ours).to_ours == 2.0
    assert figures(ours, ours).to_ours == 1.0
    assert figures(ours, None).to_ours is None
    # The processor's time of this row is still twice ours in each round.
    assert figures(keras, ours).cpu_to_ours == 2.0
    keras["cpu_seconds"] = [value / 2 for value in keras["cpu_seconds"]]
    assert figures(keras, ours).cpu_to_ours == 1.0
    # Turns of other lengths are compared a step.
    assert figures({**keras, "times": 4}, ours).to_ours == 1.0


def test_each_row_is_compared_with_its_own_and_the_machine_s_rate(results):
    rows = {each["name"]: each for each in results["rows"]}
    assert ours_beside(rows["keras"], results) is rows["ours"]
    assert ours_beside(rows["memory-plain"], results) is rows["memory-ours"]
    assert ours_beside({**rows["keras"], "precision": "bfloat16"}, results) is None
    assert product_rates(results) == {"float32": 1e12}  # 10¹² operations in a core's second
    rows["product"]["device"] = "a GPU"
    assert product_rates(results) == {"float32": 2e12}  # in half a second


def test_the_tables_show_what_was_measured_on_what_and_what_was_not(results):
    ours, keras = step_rows(results)
    # 6 · 10⁹ · 100 operations in 2 s of a core are 0.3 · 10¹² a second, 30 % of the rate.
    cells = "the ours", "float32", "100", "1000 (750–2500)", "1.00", "2000", "1.00", "30%"
    assert ours == (*cells, "", "0.50")
    assert keras[4:8] == ("2.00", "4000", "2.00", "15%")
    assert input_rows(results, "name")[1] == (
        *("memory-plain", "12.8", "2500 (2500–2500)", "10.00", "6.4", "10.00"),
    )
    text = markdown(results)
    for words in (
        "resnet20, batch 100 at 32×32",
        "a processor; 2 cores",
        "1 TFLOP/s a core in float32",
        "not measured: PyTorch: torch is not installed",
    ):
        assert words in text


@pytest.fixture
def page(tmp_path):
    """A page with a place for the tables of `a.json`."""
    page = tmp_path / "page.md"
    text = "Before\n<!-- benchmark a.json -->\nold\n<!-- end -->\nAfter\n"
    page.write_text(text, encoding="utf-8")
    return page


def test_a_page_gets_the_tables_of_its_files(results, page):
    write_results(results, page.with_name("a.json"))
    assert read_results(page.with_name("a.json")) == results
    before = page.read_text(encoding="utf-8")
    for _ in range(2):  # again, it stays the same
        assert render_page(page) == 1
        made = page.read_text(encoding="utf-8")
        assert made == before.replace("old\n", markdown(results))


def test_several_files_make_one_table_of_ratios(results, page):
    results["rows"][1]["seconds"] = [5.0, 16.0, 4.0]  # over 2, 8 and 1
    for name, model in (("a", "resnet20"), ("b", "resnet32")):
        results["setting"]["model"] = model
        write_results(results, page.with_name(f"{name}.json"))
    page.write_text("<!-- benchmark a.json b.json -->\n<!-- end -->\n", encoding="utf-8")
    assert render_page(page) == 1
    found = page.read_text(encoding="utf-8")
    for model in ("resnet20", "resnet32"):
        ratios = "2.50 (2.00–4.00) | 2.00 (2.00–2.00)"
        assert f"| {model} | the keras | float32 | 100 × 3 | 0.5 | {ratios} |\n" in found
    assert "the ours" not in found


@pytest.mark.parametrize("part", ["setting", "versions", "seconds", "images", "kind", "peak_bytes"])
def test_a_missing_part_is_named(results, part, page):
    del (results if part in results else results["rows"][1])[part]
    write_results(results, page.with_name("a.json"))
    with pytest.raises(ValueError, match=r"must be complete\. Received: a\.json without '\w+'"):
        render_page(page)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"schema": 2}', "version 1"), ("[]", "version 1"), ("fast", r"a\.json is not JSON")],
)
def test_other_files_are_refused(text, message, tmp_path):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path / "a.json")


def test_the_documentation_shows_its_results(tmp_path):
    source = ROOT / "docs" / "benchmark.md"
    copy = tmp_path / "benchmark.md"
    copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "benchmark").symlink_to(ROOT / "docs" / "benchmark")
    render_page(copy)
    assert copy.read_text(encoding="utf-8") == source.read_text(encoding="utf-8"), (
        "run `python -m training benchmark --render docs/benchmark.md`"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "benchmark").glob("*.json")), ids=str)
def test_measured_networks_are_those_of_the_literature(path):
    """Published and hand-computed parameters and multiply-adds, of each contender's own count."""
    known = {
        ("resnet20", False): (269_722, 40_551_040),
        ("resnet50", False): (25_557_032, 4_089_184_256),
        # keras.applications: biases before each batch normalization, and the stride on the 1×1.
        ("resnet50", True): (25_583_592, 3_857_973_248),
        # The wider family as timm's and torchvision's modules have it.
        ("resnext50_32x4d", False): (25_028_904, 4_230_479_872),
        ("wideresnet50_2", False): (68_883_240, 11_398_021_120),
        ("seresnet50", False): (28_088_024, 4_091_699_200),
        ("resnet50d", False): (25_576_264, 4_328_824_832),
        ("resnet50v2", False): (25_549_352, 4_089_184_256),
    }
    results = json.loads(path.read_text(encoding="utf-8"))
    for each in results["rows"]:
        if each["kind"] == "step":
            key = (results["setting"]["model"], each["name"] == "applications")
            assert (each["parameters"], each["macs"]) == known[key], each["name"]
