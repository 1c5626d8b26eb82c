"""Failures are told in plain words, and only they."""

from recycle.domains import Names
from recycle.evaluation.findings import COLLAPSED, COPIED, LOST, findings


def test_what_is_sound_is_not_accused() -> None:
    sound = {"collapse_ab": 0.8, "collapse_ba": COLLAPSED, "memorisation_ab": 1.2, "memorisation_ba": COPIED}
    assert findings(sound) == []
    assert findings({}) == []
    assert findings({"collapse_ab_input": 0.1, "memorisation_ab_input": 0.1}) == []


def test_a_translation_that_is_no_nearer_than_its_input_is_told_with_both_figures() -> None:
    nearer = {"kid_ab": 2.0, "kid_ab_input": 3.3, "kid_mid_ab": 0.3, "kid_mid_ab_input": 0.4}
    assert findings(nearer) == []
    assert findings({"kid_ab": 2.0}) == []
    (deep,) = findings(nearer | {"kid_ab": 4.891})
    assert deep.startswith("a → b: the translation is no closer to real frames of b than the untouched input")
    assert deep.endswith("(KID 4.89, untouched input 3.3)")
    (mid,) = findings({"kid_ba": 1, "kid_ba_input": 2, "kid_mid_ba": 1.4, "kid_mid_ba_input": 0.4})
    assert mid.startswith("b → a: ")
    assert mid.endswith("real frames of a than the untouched input (KID of textures 1.4, untouched input 0.4)")


def test_lost_content_is_told_unless_the_truth_has_other_edges_too() -> None:
    assert findings({"structure_ab": LOST, "structure_ba": 0.9}) == []
    (line,) = findings({"structure_ab": 0.512})
    assert line.startswith("a → b: the content is not preserved: structure kept 0.51")
    assert findings({"structure_ab": 0.512, "structure_ab_truth": 0.47}) == []
    assert len(findings({"structure_ab": 0.4, "structure_ab_truth": 0.47})) == 1


def test_collapse_and_copying_are_named_with_their_direction() -> None:
    lines = findings({"collapse_ab": 0.1234, "collapse_ba": 1.0, "memorisation_ba": 0.2})
    assert len(lines) == 2
    assert lines[0].startswith("a → b: perceptual mode collapse")
    assert "diversity kept 0.12" in lines[0]
    assert lines[1].startswith("b → a: the output copies training frames")
    assert "0.20 times" in lines[1]


def test_domains_are_called_by_their_names() -> None:
    (line,) = findings({"kid_ba": 2.0, "kid_ba_input": 1.0}, Names("summer", "winter"))
    assert line.startswith("winter → summer: the translation is no closer to real frames of summer than")
    assert findings({"collapse_ab": 0.1}, Names("summer", "winter"))[0].startswith("summer → winter: ")
