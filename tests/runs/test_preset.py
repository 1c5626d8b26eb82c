"""A pipeline chosen for footage, a machine and a time fits all three, says why, and can be written and read back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.config import (
    LossSettings,
    LossWeights,
    PatchSettings,
    Pipeline,
    ProjectedSettings,
    load_pipeline,
    parse_pipeline,
)
from recycle.config.networks import ResNetSettings, UNetSettings
from recycle.config.write import to_toml
from recycle.dataset.survey import Side, Survey
from recycle.errors import FootageError, RecycleError
from recycle.networks.bundle import BundleConfig
from recycle.runs.machine import CONTEXT, Machine, gpu_of, this_machine
from recycle.runs.pace import REVIEW, START
from recycle.runs.preset import BATCH, LEAST, RECKONED_AT, SIDES, VIEWS, Choice, _Draft, choose
from recycle.runs.preset_start import Start
from recycle.training.memory import reckon

LARGE = Side(1280, 720, 30, 9000)
MIDDLE = Side(640, 480, 30, 3000)
SMALL = Side(160, 96, 12, 720)
LABELS = Side(256, 160, 12, 1440, labels=True, street_labels=True)
TWO_CORES = Machine("cpu", 8 << 30, cores=2, half=True)
MACHINES = {"cpu": TWO_CORES, "4": gpu_of(4), "8": gpu_of(8), "80": gpu_of(80)}


def facts_of(a: Side, b: Side) -> Survey:
    return Survey(a, b, gap=0.3, aligned=0.6)


def side_of(choice: Choice) -> int:
    height, width = choice.pipeline.train.size
    assert height == width
    return height


@pytest.mark.parametrize(
    ("machine", "sides", "batches"),
    [("cpu", (160, 256), (1, 1)), ("4", (160, 256), (1, 1)), ("8", (320, 512), (1, 1)), ("80", (512, 512), (4, 8))],
)
def test_an_evening_on_four_machines(machine: str, sides: tuple[int, int], batches: tuple[int, int]) -> None:
    here = MACHINES[machine]
    choice = choose(facts_of(LARGE, LARGE), here)
    assert sides[0] <= side_of(choice) <= sides[1]
    assert batches[0] <= choice.pipeline.train.batch_size <= batches[1]
    assert choice.memory < 0.8 * here.memory
    assert choice.pipeline.train.hours == 4
    assert choice.steps * choice.seconds == pytest.approx(4 * 3600, rel=0.01)
    assert choice.steps > 20_000


@pytest.mark.parametrize(("side", "other"), [(SMALL, SMALL), (LARGE, LABELS)])
def test_what_is_said_of_memory_is_what_the_written_pipeline_is_reckoned_to_need(
    side: Side, other: Side, tmp_path: Path
) -> None:
    choice = choose(facts_of(side, other), gpu_of(24), hours=4)
    needed = reckon(reread(choice.toml(), tmp_path), torch.bfloat16)
    assert choice.pipeline.train.batch_size > 1
    assert side_of(choice) != RECKONED_AT
    assert needed.networks + choice.pipeline.train.batch_size * needed.clip == pytest.approx(choice.memory, rel=0.05)


@pytest.mark.parametrize(("side", "seconds"), [(64, 0.257), (112, 0.453), (144, 0.637)])
def test_the_time_of_a_step_is_what_was_measured(side: int, seconds: float) -> None:
    """Of small frames too, whose steps take more than their share of pixels; one core, photographs far apart."""
    draft = _Draft(facts_of(MIDDLE, MIDDLE), replace(TWO_CORES, cores=1), 1)
    assert draft.seconds(draft.reckoned(side, 32), 1) == pytest.approx(seconds, rel=0.1)


def test_a_machine_has_as_many_cores_as_training_uses() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert this_machine("cpu").cores == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("seconds", [1, 20, 43, 120, 600])
def test_a_very_short_run_is_planned_with_the_time_that_takes_no_steps(seconds: float) -> None:
    """It starts, reviews and closes: a plan of as many steps as fit into the time alone is not kept."""
    choice = choose(facts_of(SMALL, SMALL), TWO_CORES, hours=seconds / 3600)
    reviews = choice.steps // choice.pipeline.train.preview_every
    assert choice.steps >= 1
    most = max(0.0, seconds - START)
    closing = min(0.1 * most, 100 * choice.seconds)
    assert choice.steps * choice.seconds <= max(1.0, most - closing + choice.seconds)
    assert reviews * REVIEW <= max(0.11 * choice.steps, 20 * REVIEW)
    assert f"{choice.steps} steps of" in choice.toml() or choice.steps >= 100


def test_what_a_gpu_has_is_less_than_its_name_says() -> None:
    assert gpu_of(8).memory == pytest.approx((8 - CONTEXT) * 2**30)
    assert not gpu_of(8).half
    assert gpu_of(80).half


def test_memory_limits_the_frames_where_time_does_not() -> None:
    tight = choose(facts_of(LARGE, LARGE), Machine("gpu", 2 << 30), hours=100)
    roomy = choose(facts_of(LARGE, LARGE), Machine("gpu", 5 << 30), hours=100)
    assert side_of(tight) < side_of(roomy)
    assert tight.memory < 0.8 * (2 << 30)
    assert "memory" in tight.reasons["train.size"]


def test_more_time_never_gives_smaller_frames() -> None:
    sides = [side_of(choose(facts_of(MIDDLE, MIDDLE), TWO_CORES, hours=hours)) for hours in (0.002, 1, 24)]
    assert sides[0] < sides[1] < sides[2]
    assert set(sides) <= set(SIDES)


@pytest.mark.parametrize("machine", MACHINES)
def test_little_footage_gets_fewer_steps_and_larger_frames(machine: str) -> None:
    """Unless the user asks for a time or for steps, and then with a warning."""
    little = replace(LARGE, frames=200)
    short, evening = (choose(facts_of(LARGE, side), MACHINES[machine]) for side in (little, LARGE))
    assert short.pipeline.train.hours is None
    assert short.steps == short.pipeline.train.steps == VIEWS * 100  # of the 15 frames a second that are new
    assert short.pipeline.train.batch_size == 1
    assert short.steps * short.seconds < evening.steps * evening.seconds
    assert side_of(short) >= side_of(evening)
    assert "30 for each frame of the shorter domain" in short.reasons["train.steps"]
    asked = choose(facts_of(LARGE, little), MACHINES[machine], hours=4)
    assert (asked.pipeline.train.hours, side_of(asked)) == (4, side_of(evening))
    steps = choose(facts_of(little, LARGE), MACHINES[machine], steps=5000)
    assert (steps.pipeline.train.steps, side_of(steps)) == (5000, side_of(evening))
    warning = "more than 3 000 steps may change shapes"
    assert [warning in choice.toml() for choice in (short, evening, asked, steps)] == [False, False, True, True]
    labels = choose(facts_of(little, LABELS), MACHINES[machine])
    assert labels.pipeline.train.hours == 4


def test_frames_are_never_larger_than_the_footage() -> None:
    choice = choose(facts_of(LARGE, Side(50, 90, 25, 5000)), gpu_of(80))
    assert choice.pipeline.train.size == (48, 48)
    assert choice.pipeline.extract.short_side == 48
    assert choice.pipeline.train.batch_size == BATCH


@pytest.mark.parametrize("short", [16, 24])
def test_the_smallest_footage_has_discriminators_that_fit(short: int) -> None:
    tiny = Side(short, 3 * short, 25, 400)
    assert choose(facts_of(tiny, tiny), TWO_CORES).pipeline.train.size == (short, short)


def test_short_trainings_have_other_rates_than_long_ones() -> None:
    short, long = (choose(facts_of(SMALL, LABELS), TWO_CORES, steps=steps).pipeline.train for steps in (900, 200_000))
    assert (short.steps, short.hours) == (900, None)
    assert short.learning_rate > long.learning_rate == Pipeline().train.learning_rate
    assert short.discriminator_rate < long.discriminator_rate
    assert short.ema < long.ema
    assert short.preview_every * 10 <= 900


@pytest.mark.parametrize(("steps", "slow"), [(1000, False), (3000, True), (25_000, True), (200_000, True)])
def test_discriminators_of_photographs_are_slow_in_all_but_short_trainings(steps: int, slow: bool) -> None:
    choice = choose(facts_of(SMALL, SMALL), TWO_CORES, steps=steps)
    assert (choice.pipeline.train.discriminator_rate == 0.1) == slow
    assert ("change shapes" in unbroken(choice.toml())) == slow


def test_photographs_are_translated_by_a_pretrained_network_and_label_maps_are_not() -> None:
    photographs = choose(facts_of(SMALL, SMALL), TWO_CORES).pipeline.networks.generator
    assert isinstance(photographs, UNetSettings)
    assert photographs.skip
    labels = choose(facts_of(SMALL, LABELS), TWO_CORES).pipeline.networks.generator
    assert isinstance(labels, ResNetSettings)
    assert not labels.skip


def test_discriminators_of_photographs_see_present_frames_alone() -> None:
    chosen = choose(facts_of(SMALL, SMALL), TWO_CORES)
    assert chosen.pipeline.train.pool_size == 0
    assert "train.pool_size" in chosen.reasons
    labels = choose(facts_of(SMALL, LABELS), TWO_CORES).pipeline
    assert labels.train.pool_size == Pipeline().train.pool_size > 0


def test_label_maps_keep_their_colours_and_are_scored() -> None:
    chosen = choose(facts_of(LARGE, LABELS), TWO_CORES).pipeline
    assert chosen.extract.format == "png"
    assert chosen.train.augment.colour == 0
    assert chosen.losses.augment == ()
    assert (chosen.evaluate.label_domain, chosen.evaluate.palette) == ("b", "street")
    other = choose(facts_of(replace(LABELS, street_labels=False), LARGE), TWO_CORES).pipeline
    assert other.evaluate.label_domain is None


def test_grey_levels_keep_their_meaning_on_either_side() -> None:
    """As those of a thermal camera, which are temperatures."""
    grey = replace(SMALL, grey=True, frames=150)
    for facts in (facts_of(SMALL, grey), facts_of(grey, SMALL)):
        choice = choose(facts, TWO_CORES)
        assert choice.pipeline.train.augment.colour == 0
        assert choice.reasons["train.augment.colour"] == "grey levels may have a meaning, such as a temperature"
        assert choice.pipeline.extract.format == Pipeline().extract.format
    colour = choose(facts_of(SMALL, replace(SMALL, frames=150)), TWO_CORES).pipeline
    assert colour.train.augment.colour > 0


def unbroken(text: str) -> str:
    """A pipeline file with the lines of each comment joined."""
    return text.replace("\n# ", " ")


def test_a_plan_says_how_the_sides_relate_and_warns_of_unrelated_ones_and_changes_nothing_for_it() -> None:
    near, far = (choose(Survey(SMALL, SMALL, gap, al), TWO_CORES) for gap, al in ((0.3, 0.7), (0.9, 0.02)))
    relation = "The domains are clearly apart (gap 0.30; 1 is unrelated footage) and very similar in layout"
    assert relation in unbroken(near.toml())
    warning = "Footage this different may have no true counterparts"
    assert warning not in unbroken(near.toml())
    assert warning in unbroken(far.toml())
    assert far.pipeline == near.pipeline


def test_photographs_far_apart_keep_the_colours_of_kinds_and_have_a_weak_cycle_loss() -> None:
    """From the gap on from which the sides show things in unequal amounts."""
    alike, unequal = (choose(Survey(MIDDLE, MIDDLE, gap, aligned=0.6), TWO_CORES) for gap in (0.2, 0.3))
    for name, weight, why in (
        ("colours", 10, "gets colours that it has in real frames"),
        ("cycle", 2, "training invents things without it; a higher weight would preserve what should change"),
    ):
        assert alike.pipeline.losses.weights.of(name, "ab") == 0
        assert f"losses.weights.{name}" not in alike.reasons
        assert unequal.pipeline.losses.weights.of(name, "ab") == weight
        assert why in unbroken(unequal.toml())
    assert "\ncolours = 10.0\n" in unequal.toml()
    labels = choose(Survey(MIDDLE, LABELS, gap=0.7, aligned=0.3), TWO_CORES)
    assert labels.pipeline.losses.weights == Pipeline().losses.weights
    assert labels.pipeline.losses.weights.of("colours", "ab") == 0


def test_photographs_are_judged_by_the_kind_of_place_and_nothing_else_is() -> None:
    """InstanceNorm would tell every patch of the amounts of colours in the whole frame."""
    for gap in (0.2, 0.7):
        choice = choose(Survey(MIDDLE, MIDDLE, gap, aligned=0.6), TWO_CORES)
        patch, projected = choice.pipeline.networks.discriminators
        assert isinstance(patch, PatchSettings)
        assert isinstance(projected, ProjectedSettings)
        assert (patch.norm, patch.by_kind, projected.by_kind) == ("spectral", True, True)
        assert "both compare sky with sky and road with road" in unbroken(choice.toml())
    labels = choose(Survey(MIDDLE, LABELS, gap=0.7, aligned=0.3), TWO_CORES)
    assert not labels.pipeline.distinguishes_kinds


def test_what_is_bright_may_be_dark_for_another_kind_of_sensor() -> None:
    """Measured on the street and its thermal images: docs/measurements/photographs.md."""
    grey = replace(MIDDLE, grey=True)
    film, thermal = (choose(Survey(MIDDLE, grey, 0.8, 0.59, grey_gap=gap), TWO_CORES) for gap in (0.2, 0.61))
    assert film.pipeline.networks == choose(Survey(MIDDLE, MIDDLE, 0.8, 0.59), TWO_CORES).pipeline.networks
    networks, losses = thermal.pipeline.networks, thermal.pipeline.losses
    assert isinstance(networks.generator, UNetSettings)
    assert not networks.generator.skip
    assert [each.kind for each in networks.discriminators] == ["patch"]
    assert losses.weights == Pipeline().losses.weights
    assert thermal.pipeline.train.pool_size == 50
    assert thermal.pipeline.train.augment.colour == 0
    assert "what is bright in one may be dark in the other" in unbroken(thermal.toml())
    apart = choose(Survey(MIDDLE, grey, 0.8, 0.2, grey_gap=0.65), TWO_CORES)  # an unrelated film without colours
    assert apart.pipeline.networks == film.pipeline.networks


def test_fast_footage_is_thinned_out_where_enough_is_left() -> None:
    assert choose(facts_of(LARGE, LARGE), TWO_CORES).pipeline.extract.fps == 15
    few = replace(LARGE, frames=300)
    assert choose(facts_of(LARGE, few), TWO_CORES).pipeline.extract.fps is None
    assert choose(facts_of(SMALL, SMALL), TWO_CORES).pipeline.extract.fps is None


def test_what_is_extracted_already_is_not_extracted_otherwise() -> None:
    ready = replace(MIDDLE, extracted=True)
    chosen = choose(facts_of(ready, ready), TWO_CORES).pipeline
    assert chosen.extract == Pipeline().extract


def test_photographs_and_little_footage_are_augmented_and_next_to_none_is_refused() -> None:
    assert choose(facts_of(SMALL, SMALL), TWO_CORES).pipeline.losses.augment == ("translation",)
    few_labels = replace(LABELS, frames=150)
    assert choose(facts_of(LARGE, few_labels), TWO_CORES).pipeline.losses.augment == ("translation",)
    with pytest.raises(FootageError, match=r"domain b has too little footage: 3 frames;.*'recycle probe FOLDER' shows"):
        choose(facts_of(LARGE, replace(LARGE, frames=LEAST - 1)), TWO_CORES)
    with pytest.raises(FootageError, match=r"domain a are too small \(8x90\)"):
        choose(facts_of(replace(LARGE, width=8, height=90), LARGE), TWO_CORES)


def test_a_machine_without_memory_is_refused() -> None:
    with pytest.raises(RecycleError, match="not enough memory to train on frames of 64 pixels"):
        choose(facts_of(LARGE, LARGE), Machine("gpu", 100 << 20))


def test_what_judges_follows_the_kind_of_footage() -> None:
    """Frozen features are for photographs, large enough for them."""
    tiny = replace(SMALL, width=20, height=20)
    both = ["patch", "projected"]
    for facts, kinds in (
        (facts_of(LARGE, LABELS), ["patch"]),
        (facts_of(LARGE, LARGE), both),
        (facts_of(tiny, tiny), ["patch"]),
    ):
        chosen = choose(facts, TWO_CORES).pipeline.networks.discriminators
        assert [each.kind for each in chosen] == kinds


def test_the_device_that_is_here_is_seen() -> None:
    machine = this_machine("cpu", "fp32")
    assert machine.kind == "cpu"
    assert not machine.half
    assert machine.cores >= 1
    assert machine.memory > 0


def reread(text: str, folder: Path) -> Pipeline:
    file = folder / "pipeline.toml"
    file.write_text(text, encoding="utf-8")
    return load_pipeline(file)


@pytest.mark.parametrize("machine", ["cpu", "80"])
@pytest.mark.parametrize("facts", [facts_of(LARGE, LARGE), facts_of(SMALL, LABELS), facts_of(SMALL, SMALL)])
def test_every_choice_is_read_back_as_it_is(machine: str, facts: Survey, tmp_path: Path) -> None:
    footage = {"a": ["/videos/summer"], "b": ['/videos/winter "2"', "/videos/ice\n\x7f\udce9"]}
    choice = choose(facts, MACHINES[machine], name="summer-winter", footage=footage)
    assert reread(choice.toml(), tmp_path) == choice.pipeline
    assert choice.pipeline.footage.b == tuple(map(Path, footage["b"]))


def test_every_setting_that_was_chosen_has_its_reason_and_no_default_is_written() -> None:
    choice = choose(facts_of(LARGE, LABELS), MACHINES["8"], name="x", footage={"a": ["/a"], "b": ["/b"]})
    lines = choice.toml().splitlines()
    chosen = [line for line in lines if " = " in line and not line.startswith(("#", "name", "a = ", "b = "))]
    alone = [line for line in chosen if "#" not in line and not lines[lines.index(line) - 1].startswith("#")]
    assert alone == ['label_domain = "b"']  # the line above it gives the reason of both
    assert not any(line.startswith(("blocks", "precision", "betas", "cut_threshold")) for line in lines)
    assert all(len(line) <= 120 for line in lines)


weights = st.builds(
    LossWeights,
    adversarial=st.sampled_from([0.0, 1.0, 3.0]),
    cycle=st.sampled_from([1.0, 2.0]),
    unsupervised_spatial=st.sampled_from([0.0, 5.0]),
    unsupervised_recycle=st.sampled_from([0.0, 2.0, 10.0]),
)


@settings(max_examples=60)
@given(
    weights=st.one_of(st.just(LossSettings().weights), st.just(LossWeights()), weights),
    noise=st.sampled_from([0.0, 0.1, 0.25]),
    paired=st.booleans(),
    name=st.from_regex(r"\A[^/\\\x00-\x1f]{1,20}\Z").filter(str.isprintable).filter(lambda n: n.strip(". ")),
    rate=st.floats(1e-12, 10),
    note=st.text(max_size=300),
    options=st.sampled_from([{}, {"tune": "film"}]),
)
def test_any_pipeline_is_read_back_as_it_is(
    weights: LossWeights,
    noise: float,
    paired: bool,
    name: str,
    rate: float,
    note: str,
    options: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = {
        "name": name,
        "footage": {"paired": paired, "test_a": ["/x"]},
        "losses": {"weights": weights.model_dump(), "noise_back": noise if weights.cycle else 0},
        "train": {"learning_rate": rate, "stride": 1, "size": [64, 128]},
        "translate": {"options": options, "scale": 96, "fps": "30000/1001"},
    }
    pipeline = parse_pipeline(data, where="test")
    text = to_toml(pipeline, {"train.learning_rate": note, "name": note}, [note])
    assert reread(text, tmp_path_factory.mktemp("file")) == pipeline


@pytest.mark.parametrize("side", [LARGE, LABELS])
@pytest.mark.parametrize("judged", [True, False])
def test_a_choice_that_starts_from_a_model_has_its_networks_and_at_most_its_size(
    tmp_path: Path, side: Side, *, judged: bool
) -> None:
    networks = {
        "generator": {"kind": "cut", "blocks": 6, "width": 64},  # 6 is the default of another kind
        "discriminator": {"width": 32, "layers": 2},
    }
    config = BundleConfig.model_validate({"networks": networks, "short_side": 128})
    start = Start(tmp_path / "model", config, judged)
    choice = choose(facts_of(side, side), gpu_of(80), start=start)
    assert choice.pipeline.networks.generator == config.networks.generator
    assert (choice.pipeline.networks.discriminator == config.networks.discriminator) is judged
    assert choice.pipeline.train.start_from == tmp_path / "model"
    assert side_of(choice) == 128
    assert "the size of the model from which training starts" in choice.toml()
    assert reread(choice.toml(), tmp_path) == choice.pipeline


@pytest.mark.parametrize(("a", "b"), [(LARGE, MIDDLE), (LARGE, LABELS)])
def test_with_masks_the_outside_is_kept_and_no_other_loss_changes_it(a: Side, b: Side, tmp_path: Path) -> None:
    masks = {"a": ["a"], "b": ["b"], "mask_a": ["c"], "mask_b": ["d"]}
    plain, masked = (choose(facts_of(a, b), TWO_CORES, footage=given) for given in ({}, masks))
    losses, others = masked.pipeline.losses, plain.pipeline.losses
    assert losses.weights == others.weights.model_copy(update={"conservation": 10.0, "colours": 0.0})
    assert losses.noise_back == others.noise_back
    assert "outside of the masks" in masked.reasons["losses.weights.conservation"]
    assert reread(masked.toml(), tmp_path).losses == losses
