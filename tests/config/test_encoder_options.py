"""Encoder options: ordinary ones are taken and work, and none can read or write a file."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import Codec, EncodeSettings, TranslateSettings, load_pipeline, parse_settings
from recycle.config.encoder_options import _ENCODERS, check_options
from recycle.errors import ConfigError
from recycle.video.codecs import _HARDWARE, ENCODERS, choose_encoder

CODECS: tuple[Codec, ...] = get_args(Codec)
LISTS: dict[str, Codec] = {"x264-params": "h264", "x264opts": "h264", "x265-params": "hevc", "svtav1-params": "av1"}
FILES = [
    *("stats", "passlogfile", "x265-stats", "pass", "dump-yuv", "dump_yuv", "qpfile", "cqmfile", "opencl-clbin"),
    *("recon", "csv", "csv-log-level", "log-file", "log", "analysis-save", "analysis-load", "analysis-reuse-file"),
    *("lambda-file", "zonefile", "film-grain", "aom-film-grain", "dolby-vision-rpu", "dhdr10-info", "nalu-file"),
    *("fgs-table", "stat-file", "config", "errlog", "use-q-file", "pred-struct-file", "opencl", "rc_override"),
    *("dump_separator", "codec_whitelist", "x264_params", "X264-params", "x264-params ", "-x264-params", ""),
]
ORDINARY: list[tuple[Codec, dict[str, str]]] = [
    ("h264", {"tune": "film", "profile": "high", "level": "4.1", "g": "48", "bf": "3", "refs": "4", "threads": "2"}),
    ("h264", {"x264-params": "keyint=30:min-keyint=3:bframes=2:ref=3:aq-mode=3:aq-strength=0.8:psy-rd=1.0,0.15"}),
    ("h264", {"x264opts": "no-cabac:rc_lookahead=20:deblock=-1,-1:zones=0,2,q=20/3,4,b=1.5"}),
    ("h264", {"deblock": "-1:-1", "psy-rd": "1.0:0.15", "aq-mode": "3", "flags": "+cgop", "maxrate": "4M"}),
    ("hevc", {"tune": "grain", "x265-params": "keyint=48:no-sao=1:aq-mode=3:psy-rdoq=1.5:pools=1:scaling-list=off"}),
    ("av1", {"svtav1-params": "tune=0:film-grain=8:enable-qm=1:tile-columns=1", "g": "60"}),
    ("vp9", {"tile-columns": "1", "lag-in-frames": "16", "auto-alt-ref": "1", "aq-mode": "0", "g": "60"}),
    ("prores", {"profile": "standard", "vendor": "apl0"}),
    ("ffv1", {"coder": "1", "context": "1", "slices": "4"}),
]


def test_every_encoder_has_its_list() -> None:
    names = {codec: (ENCODERS[codec].name, _HARDWARE[codec].name if codec in _HARDWARE else "") for codec in CODECS}
    assert names == _ENCODERS


@pytest.mark.parametrize(("codec", "options"), ORDINARY)
def test_ordinary_options_work(codec: Codec, options: dict[str, str]) -> None:
    settings = parse_settings(EncodeSettings, {"codec": codec, "options": options})
    assert options.items() <= {**choose_encoder(settings).options, **settings.options}.items()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("hardware", [False, True])
def test_no_option_of_an_encoder_names_a_file(codec: Codec, hardware: bool) -> None:
    for name in FILES:
        with pytest.raises(ValueError, match="the encoder option '") as caught:
            check_options(codec, {name: "victim"}, hardware=hardware)
        assert f"'{name}'" in str(caught.value)


@pytest.mark.parametrize("option", LISTS)
@pytest.mark.parametrize("before", ["", "keyint=30:", "no-cabac=1:bframes=2:"])
def test_no_parameter_in_a_list_names_a_file(option: str, before: str) -> None:
    for name in FILES:
        if (option, name) == ("svtav1-params", "film-grain"):  # a number there
            continue
        for spelling in {name, name.replace("-", "_"), f"no-{name}", f"no{name}", f" {name}", name.upper()}:
            with pytest.raises(ValueError, match=f"in the option '{option}'"):
                check_options(LISTS[option], {option: f"{before}{spelling}=/tmp/victim"}, hardware=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flags", "+pass1"),
        ("flags", "cgop+pass2"),
        ("x264-params", "keyint=30\\:stats=victim"),
        ("x264-params", "keyint='30:stats=victim'"),
        ("x264-params", "zones=0,9,stats=victim"),
        ("x264-params", "zones=0,9,q=20,dump-yuv=victim"),
        ("x264-params", "keyint=30\nstats=victim"),
        ("x264-params", "keyint=30: stats=victim"),
        ("x264-params", "keyint=30:"),
        ("x264-params", "keyint=" + "3" * 500),
        ("tune", "film\0"),
        ("tune", "fi\\lm"),
        ("threads", "100000"),
    ],
)
def test_values_do_not_smuggle_parameters(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}'"):
        parse_settings(EncodeSettings, {"options": {name: value}})


@given(st.text(alphabet="keyint=stauds:,'\\\"/ -_x30\n", max_size=40))
def test_a_list_that_is_taken_has_only_known_names_and_plain_values(text: str) -> None:
    try:
        check_options("h264", {"x264-params": text}, hardware=False)
    except ValueError:
        return
    assert not set(text) & set("\\'\" \n")
    assert all(part.partition("=")[0].replace("_", "-") not in ("stats", "") for part in text.split(":"))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"tun": "film"}, "did you mean tune"),
        ({"x264-params": "key-int=3"}, "did you mean keyint"),
        ({"qqqq": "1"}, "allowed are .*aq-mode, .*tune"),
        ({"x265-params": "keyint=3"}, "'x265-params' is not allowed for libx264"),
    ],
)
def test_the_error_names_the_option_and_the_nearest(options: dict[str, str], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint) as caught:
        parse_settings(EncodeSettings, {"options": options})
    assert "\n" not in str(caught.value)


def test_options_of_the_gpu_encoder_come_with_hardware_alone() -> None:
    options = {"rc-lookahead": "16", "spatial-aq": "1", "multipass": "fullres"}
    assert parse_settings(EncodeSettings, {"hardware": True, "options": options}).options == options
    with pytest.raises(ConfigError, match="spatial-aq"):
        parse_settings(EncodeSettings, {"options": options})


@pytest.mark.parametrize("key", ["preset", "pixel_format", "device"])
@pytest.mark.parametrize("value", ["fast:stats=victim", "a=b", "../x", "x y", "UPPER\n", "'"])
def test_other_words_hold_no_options(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_settings(TranslateSettings, {key: value})


def test_a_pipeline_file_is_checked_when_it_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text('[translate.options]\nx264-params = "dump-yuv=/tmp/victim"\n')
    with pytest.raises(ConfigError, match=r"task\.toml: 'translate': the parameter 'dump-yuv' in the option 'x264-p"):
        load_pipeline(file)
