"""Failures are told in plain words, and only they."""

from recycle.evaluation.findings import COLLAPSED, COPIED, findings


def test_what_is_sound_is_not_accused() -> None:
    sound = {"collapse_ab": 0.8, "collapse_ba": COLLAPSED, "memorisation_ab": 1.2, "memorisation_ba": COPIED}
    assert findings(sound) == []
    assert findings({}) == []
    assert findings({"collapse_ab_input": 0.1, "memorisation_ab_input": 0.1}) == []


def test_collapse_and_copying_are_named_with_their_direction() -> None:
    lines = findings({"collapse_ab": 0.1234, "collapse_ba": 1.0, "memorisation_ba": 0.2})
    assert len(lines) == 2
    assert lines[0].startswith("a → b: perceptual mode collapse")
    assert "0.12 of the diversity" in lines[0]
    assert lines[1].startswith("b → a: the output copies training frames")
    assert "0.20 times" in lines[1]
