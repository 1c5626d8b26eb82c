"""Schedules: learning rate, resolution, and the start of the recycle loss."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import TrainSettings
from recycle.training.schedule import Reliance, learning_rate, shrinking


@given(steps=st.integers(1, 500), decay=st.floats(0, 1))
def test_the_learning_rate_is_constant_then_falls_and_never_wastes_a_step(steps: int, decay: float) -> None:
    settings = TrainSettings(steps=steps, decay=decay, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 < late <= early <= 1 for early, late in itertools.pairwise(rates))
    constant = steps - round(steps * decay)
    assert all(rate == 1 for rate in rates[:constant])
    if constant < steps:
        assert rates[-1] == pytest.approx(1 / (round(steps * decay) + 1))


@given(steps=st.integers(1, 400), grow=st.integers(0, 3))
def test_resolution_doubles_and_is_full_for_the_second_half(steps: int, grow: int) -> None:
    settings = TrainSettings(steps=steps, grow=grow, size=(128, 256))
    divisors = [shrinking(step, settings) for step in range(steps)]
    assert all(late <= early for early, late in itertools.pairwise(divisors))
    assert divisors[0] == 2**grow
    assert set(divisors[(steps + 1) // 2 :]) <= {1}
    if steps >= 20:
        assert set(divisors) == {2**stage for stage in range(grow + 1)}


def test_reliance_begins_once_predicting_beats_copying_and_stays() -> None:
    reliance = Reliance(wait=True)
    assert not any(reliance.update(1.0, 0.8) for _ in range(200))
    begins = [reliance.update(0.5, 0.8) for _ in range(200)]
    assert sum(begins) == 1
    assert 10 < begins.index(True) < 150  # not at once: a running mean
    assert reliance.on
    assert not reliance.update(9.0, 0.1)
    assert reliance.on


def test_reliance_does_not_trust_the_first_steps_and_resumes() -> None:
    reliance = Reliance(wait=True)
    assert not any(reliance.update(0.1, 1.0) for _ in range(30))
    other = Reliance(wait=True)
    other.load_state_dict(reliance.state_dict())
    for _ in range(60):
        assert reliance.update(0.1, 1.0) == other.update(0.1, 1.0)
    assert reliance.on
    assert other.on


def test_without_waiting_it_is_on_from_the_start() -> None:
    assert Reliance(wait=False).on
