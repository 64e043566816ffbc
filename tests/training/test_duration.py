import pytest

from training.recipe.fields import parse_duration, to_steps


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("90 epochs", 90, "epochs"),
        ("1 epoch", 1, "epochs"),
        ("0.5 epochs", 0.5, "epochs"),
        ("64000 steps", 64000, "steps"),
        ("64_000 steps", 64000, "steps"),
        ("0 steps", 0, "steps"),
        ("1000000 examples", 1_000_000, "examples"),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, number, unit):
    assert parse_duration(text) == (number, unit)


@pytest.mark.parametrize(
    "text", ["", "90", "epochs", "90epochs", "-1 epochs", "1e3 steps", "nan epochs", "90 epocs", 90]
)
def test_another_form_is_an_error(text):
    with pytest.raises(ValueError, match=r"number and a unit.*Received"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1.5 steps", "0.1 examples"])
def test_parts_of_what_is_counted_whole_are_an_error(text):
    with pytest.raises(ValueError, match=r"must be whole. Received: '"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "batch", "examples", "steps"),
    [
        ("64000 steps", 128, 50_000, 64_000),
        ("1 epochs", 128, 50_000, 391),  # 390.6
        ("2 epochs", 128, 50_000, 782),  # 781.25
        ("15 epochs", 128, 50_000, 5860),  # 5859.4
        ("90 epochs", 256, 1_281_167, 450_411),  # 450,410.3
        ("2 epochs", 50, 100, 4),  # exactly
        ("0.1 epochs", 1, 10, 1),  # exactly, though 0.1 is no binary fraction
        ("129 examples", 128, 50_000, 2),
        ("128 examples", 128, 50_000, 1),
        ("0 epochs", 128, 50_000, 0),
    ],
)
def test_steps_are_rounded_up_and_nothing_is_dropped(duration, batch, examples, steps):
    assert to_steps(duration, batch, examples) == steps
