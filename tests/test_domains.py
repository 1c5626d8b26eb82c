"""Domains and directions: the names of networks, and the names of domains for the user."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recycle.config import Pipeline, load_pipeline, parse_pipeline, shipped_pipelines
from recycle.config.write import to_toml
from recycle.domains import AB, BA, BY_TARGET, DIRECTIONS, DOMAINS, LETTERS, Direction, Names, into
from recycle.errors import ConfigError

SEASONS = {"domains": ["summer", "winter"]}
LETTER = string.ascii_letters + string.digits + "-_"
WORD = st.text(LETTER, min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("d", "source", "target", "names"),
    [(AB, "a", "b", ("ab", "gen_ab", "disc_b", "pred_b")), (BA, "b", "a", ("ba", "gen_ba", "disc_a", "pred_a"))],
)
def test_a_direction_knows_its_domains_and_its_networks(
    d: Direction, source: str, target: str, names: tuple[str, ...]
) -> None:
    assert (d.source, d.target) == (source, target)
    assert (d.name, d.generator, d.discriminator, d.predictor) == names
    assert d.back.back == d != d.back
    assert into(d.target) == d


def test_the_order_is_that_of_training() -> None:
    assert DOMAINS == ("a", "b")
    assert DIRECTIONS == (AB, BA)
    assert BY_TARGET == (BA, AB)


def test_names_and_letters_mean_domains() -> None:
    names = Names("summer", "winter")
    assert [names.find(word) for word in ("summer", "a", "winter", "b")] == ["a", "a", "b", "b"]
    assert [names.way(d) for d in DIRECTIONS] == ["summer → winter", "winter → summer"]
    assert [LETTERS.way(d) for d in DIRECTIONS] == ["a → b", "b → a"]


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (LETTERS, "a or b"),
        (Names("summer", "winter"), r"summer \(a\) or winter \(b\)"),
        (Names("a", "x"), r"a or x \(b\)"),
    ],
)
def test_a_wrong_name_gives_one_line_that_lists_the_valid_ones(names: Names, listed: str) -> None:
    with pytest.raises(ConfigError, match=rf"^there is no domain 'autumn'; give {listed}$"):
        names.find("autumn")


@given(WORD, WORD)
def test_accepted_names_mean_one_domain_each(a: str, b: str) -> None:
    try:
        pipeline = parse_pipeline({"domains": [a, b]}, where="test")
    except ConfigError:
        assume(a.lower() != b.lower() and a[0] not in "-_" and b[0] not in "-_")
        assert {a.lower(), b.lower()} & {"a", "b", "ab", "ba"}
        return
    assert pipeline.domains == (a, b)
    assert [pipeline.domains.find(word) for word in (a, b, "a", "b")] == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["b", "a"], "'b' cannot be the name of domain a"),
        (["b", "x"], "'b' cannot be the name of domain a"),
        (["x", "A"], "'a' cannot be the name of domain b"),
        (["ab", "x"], "'ab' cannot be the name of domain a"),
        (["x", "BA"], "'ba' cannot be the name of domain b"),
        (["day", "Day"], "the names must differ"),
        (["day"], "expected two names"),
        (["a", "b", "c"], "expected two names"),
        ("ab", "expected two names"),
        (["", "x"], "expected two names"),
        (["-x", "y"], "expected two names"),
        (["été", "hiver"], "expected two names"),
        (["x" * 21, "y"], "expected two names"),
        (["two words", "y"], "expected two names"),
        ([1, 2], "expected two names"),
        (None, "expected two names"),
    ],
)
def test_ambiguous_names_are_refused_in_one_line(names: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^file: 'domains': {problem}") as refusal:
        parse_pipeline({"domains": names}, where="file")
    assert "\n" not in str(refusal.value)


def test_a_file_with_names_is_read_and_written() -> None:
    pipeline = parse_pipeline(SEASONS, where="test")
    assert 'domains = ["summer", "winter"]' in to_toml(pipeline)
    assert Pipeline.model_validate_json(pipeline.model_dump_json()) == pipeline
    assert Pipeline.model_validate(pipeline.model_dump()) == pipeline


def test_the_record_of_a_pipeline_without_names_is_as_it_was_before_there_were_names() -> None:
    """Folders of finished work are named by its digest."""
    assert "domains" not in Pipeline().model_dump()
    assert '"domains"' not in parse_pipeline({"domains": ["a", "b"]}, where="test").model_dump_json()
    assert '"name":"recycle","footage":{' in Pipeline().model_dump_json()


def test_labels_are_in_the_domain_of_a_letter_or_a_name() -> None:
    for word in ("winter", "b"):
        scored = SEASONS | {"evaluate": {"label_domain": word, "palette": "street"}}
        assert parse_pipeline(scored, where="test").evaluate.label_domain == "b"
    with pytest.raises(ConfigError, match=r"'evaluate\.label_domain': there is no domain 'autumn'; give summer"):
        parse_pipeline(SEASONS | {"evaluate": {"label_domain": "autumn", "palette": "street"}}, where="test")


def test_shipped_pipelines_that_film_the_street_name_their_domains() -> None:
    named = {file.stem: load_pipeline(file).domains for file in shipped_pipelines()}
    assert named["demo"] == named["paired"] == ("day", "night")
    assert named["labels"] == ("street", "labels")
    assert named["signers"] == LETTERS
