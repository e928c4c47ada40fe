"""The gates' figures and verdicts, at toy size; what the model reaches stands in its card."""

import pytest
from training.gates import presence, verdicts
from training.gates.command import measure

from adhere import mini

ANIMALS = {
    "present": 0.7,
    "present_interval": [0.6, 0.8],
    "present_seen": 0.74,
    "present_unseen": 0.63,
    "gain": 0.0,
    "gain_interval": [0.0, 0.0],
    "mixed": 0.11,
    "seconds_ratio": 1.0,
}
FIGURES = {
    "protocol": "25 steps",
    "localisation": {
        "first_own": 0.91,
        "first_other": 0.05,
        "second_own": 0.82,
        "second_other": 0.07,
    },
    "singles": {
        "present": 0.99,
        "painted_present": 0.98,
        "right_colour": 0.902,
        "right_colour_where_present": 0.92,
    },
    "animals": {
        "plain": ANIMALS,
        "tuned": ANIMALS | {"gain": 0.16, "gain_interval": [-0.01, 0.3], "seconds_ratio": 2.6},
    },
    "objects": {"present": 0.64, "right_colours": 0.24},
    "autoencoder": {"psnr": 26.9},
    "seconds": {"plain": 2.0, "tuned": 11.0, "paper": 4.0, "threads": 2},
}


def test_every_figure_of_the_card_is_printed_and_only_gates_are_judged():
    printed = verdicts.table(FIGURES)
    for figure in (
        "own 91.0%, other 5.0%", "own 82.0%, other 7.0%", "98.0%", "92.0%",
        "70.0% (60.0% to 80.0%)", "74.0%", "63.0%", "11.0%", "+16.0% (-1.0% to +30.0%)", "2.6",
        "24.0% of 64.0%",
    ):  # fmt: skip
        assert figure in printed, figure
    failed = [line.split("  ")[1].strip() for line in printed.splitlines() if "FAIL" in line]
    assert failed == ["gain of tuned", "autoencoder", "seconds, tuned"]
    details = [line for line in printed.splitlines() if line.startswith("  ")]
    assert all("=" not in line for line in details)


@pytest.mark.parametrize(("first", "said"), [(0, "0 to 3 for pairs and colours, 0 to 7 for")])
def test_the_protocol_says_which_seeds(first, said):
    assert said in measure(None, None, 4, 25, (), (), first)["protocol"]


def test_speed_is_timed_plain_and_nursed_at_both_sets_of_numbers():
    seconds = presence.speed(mini.load(), steps=2, rounds=1)
    assert seconds.keys() == {"plain", "tuned", "paper", "threads"}
    assert min(seconds.values()) > 0
