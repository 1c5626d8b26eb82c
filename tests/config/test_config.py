"""Settings: what is valid, and what an invalid file is told."""

import json
from pathlib import Path

import pytest

from recycle.config import FootageSettings, Pipeline, find_pipeline, load_pipeline, parse_pipeline, shipped_pipelines
from recycle.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "task.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("path", shipped_pipelines(), ids=lambda path: path.stem)
def test_shipped_pipelines_are_valid_and_explain_themselves(path: Path) -> None:
    assert load_pipeline(path).name == path.stem
    assert path.read_text().startswith("# ")


def test_the_named_pipelines_ship() -> None:
    assert {"demo", "labels", "signers", "cyclegan", "recyclegan"} <= {path.stem for path in shipped_pipelines()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nstesp = 3", r"task\.toml: unknown key 'train\.stesp'; did you mean 'steps'\?"),
        ("[trian]", r"unknown key 'trian'; did you mean 'train'\?"),
        ("[losses.weights]\nrecicle = 1", r"'losses\.weights': unknown loss 'recicle'; did you mean 'recycle'\?"),
        ("[footage.street]\nwidht = 64", r"'footage\.street\.widht'; did you mean 'width'\?"),
        ("[train]\nqqq = 3", r"unknown key 'train\.qqq'; known keys here: .*steps"),
        ("[train]\nsteps = 'many'", r"'train\.steps': .*integer.*, got 'many'"),
        ("[train]\nsteps = 0", r"'train\.steps': .*greater than or equal to 1, got 0"),
        ("[train]\nsize = [30, 30]", r"'train': 'size' must be height and width, multiples of 4"),
        ("[losses.weights]\nrecycle = 10", r"'train\.frames' must be above 'networks\.predictor\.past' = 2"),
        ("[train]\nsize = [36, 64]\ngrow = 1", r"multiples of 8 and at least 32 \(with grow = 1\)"),
        ("[train]\nsize = [16, 16]", r"'train\.size' \(16, 16\) is too small .* at least 24 pixels; lower"),
        ("[train]\nsize = [64, 64]\ngrow = 2", r"layers = 3, scales = 1 and grow = 2 each side needs at least 96"),
        ("[train]\nsize = [64, 64]\n[networks.discriminator]\nscales = 4", r"needs at least 188 pixels"),
        (
            "[train]\nstride = [3, 1]",
            r"'stride' must be one number, or two in ascending order such as \[1, 3\], got \(3, 1\)",
        ),
        ("[train]\nstride = [0, 3]", r"'train\.stride\.0': .*greater than or equal to 1, got 0"),
        ("[train]\nstride = 0", r"'train\.stride': .*greater than or equal to 1"),
        ("[extract]\ncrop = [0, -1, 8, 8]", r"'extract\.crop\.1': .*greater than or equal to 0, got -1"),
        ("[extract]\ncrop = [0, 0, 0, 8]", r"'extract\.crop\.2': .*greater than or equal to 1, got 0"),
        ("[losses.weights]\ncycle = {ab = 1, bb = 2}", r"unknown key 'losses\.weights\.cycle\.bb'"),
        ("[losses.weights]\ncycle = {ab = -1}", r"'losses\.weights\.cycle\.ab': .*greater than or equal to 0, got -1"),
        ("[losses.weights]\ncycle = 'x'", r"'losses\.weights\.cycle': .*valid number.*, got 'x'"),
        ("[Train]\nsteps = 1", r"unknown key 'Train'; did you mean 'train'"),
        ("[losses.weights]\nperceptual = 1", r"'losses\.weights\.perceptual' compares cycled or recycled"),
        (
            "[losses.prediction]\nwait = true",
            r"'losses\.prediction' has an effect only with both the",
        ),
        ("[footage]\na = 'x'\n[footage.street]", r"either 'street' or paths"),
        ("[footage]\ntest_b = 'x'\ntruth_ab = 'z'", r"'truth_ab' needs 'test_a'"),
        ("steps = ", r"task\.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_told_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_pipeline(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_name_are_told() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the pipeline file nosuch\.toml: No such file"):
        load_pipeline(find_pipeline(Path("nosuch.toml")))
    with pytest.raises(ConfigError, match=r"no pipeline 'nosuch'; .*demo"):
        find_pipeline(Path("nosuch"))


def test_a_folder_does_not_hide_the_shipped_pipeline_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = find_pipeline(Path("demo"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert find_pipeline(Path("demo")) == shipped
    (tmp_path / "fast").write_text('name = "mine"\n')
    assert find_pipeline(Path("fast")) == Path("fast")
    with pytest.raises(ConfigError, match=r"no pipeline '\.'; give a TOML file, or an included pipeline: "):
        find_pipeline(Path())


def test_footage_paths_are_relative_to_the_pipeline_file(tmp_path: Path) -> None:
    pipeline = load_pipeline(write(tmp_path, "[footage]\na = 'videos/x'\nb = ['/abs/y', 'z']"))
    assert pipeline.footage.a == (tmp_path / "videos/x",)
    assert pipeline.footage.b == (Path("/abs/y"), tmp_path / "z")


def test_the_feature_network_is_named_or_a_file_beside_the_pipeline(tmp_path: Path) -> None:
    def features(value: str) -> object:
        return load_pipeline(write(tmp_path, f"[evaluate]\nfeatures = '{value}'")).evaluate.features

    assert features("street") == "street"
    assert features("weights/inception.pth") == tmp_path / "weights" / "inception.pth"
    assert load_pipeline(write(tmp_path, "")).evaluate.features == "lite2"
    assert features("none") is None
    kept = load_pipeline(write(tmp_path, "[evaluate]\nfeatures = 'none'")).model_dump(mode="json")
    assert parse_pipeline(kept, where="test").evaluate.features is None


def test_a_file_without_weights_has_the_default_and_one_with_weights_only_what_it_says() -> None:
    default = parse_pipeline({}, where="test").losses
    assert default.weights.unsupervised_spatial
    assert default.noise_back
    assert parse_pipeline({"losses": {"adversarial": "hinge"}}, where="test").losses.noise_back == default.noise_back
    assert parse_pipeline({"losses": {"noise_back": 0}}, where="test").losses.noise_back == 0
    own = parse_pipeline({"losses": {"weights": {"cycle": 1}}}, where="test")
    assert own.losses.weights.model_dump(exclude_defaults=True) == {"cycle": 1}
    assert own.losses.noise_back == 0
    assert parse_pipeline({"footage": {"paired": True}}, where="test").losses.noise_back == 0
    for pipeline in (parse_pipeline({}, where="test"), own):  # as a run keeps it in its folder
        assert parse_pipeline(pipeline.model_dump(mode="json"), where="test") == pipeline


def test_paths_that_are_not_utf8_come_back_from_json() -> None:
    """As `pipeline.json` and checkpoints hold them."""
    paths = (Path("/films/caf\udce9.mp4"), Path("/films/caf\\udce9.mp4"), Path("a\\b"), Path("日本.mov"))
    pipeline = Pipeline(footage=FootageSettings(a=paths, test_a=paths[:1]))
    text = pipeline.model_dump_json()
    assert "caf\\\\udce9.mp4" in text
    assert Pipeline.model_validate_json(text) == pipeline
    assert Pipeline.model_validate(json.loads(text)) == pipeline
