"""The encoder options that a user may set: an allow-list for each encoder.

It contains no option that names a file, because a pipeline file from somebody else must not read or overwrite files of
this machine. This excludes statistics of two passes (`pass`, `stats`, `passlogfile`, `zonefile`), dumps and logs
(`dump-yuv`, `recon`, `csv`, `log-file`), and tables in files (`qpfile`, `cqmfile`, `scaling-list`, `lambda-file`,
`film-grain` of x265).

Names: FFmpeg's `ffmpeg -h encoder=NAME`, `x264 --fullhelp`, the x265 command line reference, SVT-AV1's Parameters.md.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from pydantic_core import PydanticCustomError

_LONGEST = 200
_PLAIN = re.compile(r"[A-Za-z0-9_.,+\-/:= ]*", re.ASCII)
_NESTED = re.compile(r"[A-Za-z0-9_.,+\-/|()]+", re.ASCII)
_ZONE = r"\d+,\d+,[qb]=\d+(?:\.\d+)?"
_VALUES = {
    "zones": re.compile(rf"{_ZONE}(?:/{_ZONE})*", re.ASCII),
    # without pass1 and pass2, which write and read a file of statistics
    "flags": re.compile(
        r"(?:[+-]?(?:cgop|loop|low_delay|bitexact|gray|qpel|mv4|ilme|ildct|global_header|unaligned))+", re.ASCII
    ),
    "scaling-list": re.compile("off|default"),  # other values are names of files
    "threads": re.compile(r"auto|\d{1,3}", re.ASCII),
}
"""Allowed values of the options whose values differ from _PLAIN and _NESTED."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANY = _words(
    """b bf bufsize maxrate minrate rc_init_occupancy flags g keyint_min level profile qmin qmax qdiff qcomp qblur refs
    threads thread_type slices strict compression_level i_qfactor b_qfactor i_qoffset b_qoffset trellis mbd me_range
    subq cmp sc_threshold"""
)
_X26_COMMON = _words("preset tune profile level crf qp forced-idr udu_sei a53cc")

_OPTIONS: dict[str, frozenset[str]] = {
    "libx264": _X26_COMMON
    | _words(
        """wpredp crf_max aq-mode aq-strength psy psy-rd rc-lookahead weightb weightp ssim intra-refresh bluray-compat
    b-bias b-pyramid mixed-refs 8x8dct fast-pskip aud mbtree deblock cplxblur partitions direct-pred slice-max-size
    nal-hrd avcintra-class me_method motion-est coder b_strategy chromaoffset noise_reduction fastfirstpass
    x264-params x264opts"""
    ),
    "libx265": _X26_COMMON | _words("x265-params"),
    "libsvtav1": _words("preset crf qp svtav1-params"),
    "libvpx-vp9": _words(
        """lag-in-frames arnr-maxframes arnr-strength arnr-type arnr_max_frames arnr_strength arnr_type tune deadline
    quality error-resilient max-intra-rate crf static-thresh drop-threshold noise-sensitivity undershoot-pct
    overshoot-pct auto-alt-ref cpu-used speed lossless tile-columns tile-rows frame-parallel aq-mode level row-mt
    tune-content corpus-complexity enable-tpl min-gf-interval rc_lookahead sharpness"""
    ),
    "prores_ks": _words("mbs_per_slice profile vendor bits_per_mb quant_mat alpha_bits"),
    "ffv1": _words("slicecrc coder context qtable remap_mode remap_optimizer"),
}
_NVENC = _words(
    """preset tune profile level tier rc rc-lookahead surfaces gpu delay no-scenecut forced-idr b_adapt spatial-aq
    spatial_aq temporal-aq temporal_aq zerolatency nonref_p strict_gop aq-strength cq aud bluray-compat init_qpP
    init_qpB init_qpI qp qp_cb_offset qp_cr_offset weighted_pred coder b_ref_mode a53cc s12m_tc dpb_size multipass
    highbitdepth ldkfs extra_sei udu_sei intra-refresh single-slice-intra-refresh max_slice_size
    constrained-encoding cbr_padding tf_level lookahead_level unidir_b split_encode_mode tile-rows tile-columns
    timing-info"""
)

_X264 = _words(
    """preset tune profile level keyint min-keyint scenecut intra-refresh bframes b-adapt b-bias b-pyramid open-gop
    cabac ref deblock slices slices-max slice-max-size slice-max-mbs slice-min-mbs tff bff constrained-intra
    pulldown fake-interlaced interlaced frame-packing qp crf crf-max bitrate rc-lookahead vbv-maxrate vbv-bufsize
    vbv-init qpmin qpmax qpstep ratetol ipratio pbratio chroma-qp-offset aq-mode aq-strength mbtree qcomp cplxblur
    qblur zones partitions direct weightb weightp me merange mvrange mvrange-thread subme psy-rd psy mixed-refs
    chroma-me 8x8dct trellis fast-pskip dct-decimate nr deadzone-inter deadzone-intra cqm overscan videoformat
    bluray-compat avcintra-class nal-hrd filler pic-struct crop-rect stitchable threads lookahead-threads
    sliced-threads sync-lookahead non-deterministic cpu-independent asm psnr ssim aud annexb force-cfr
    repeat-headers alternative-transfer sar"""
)
_X265 = _words(
    """preset tune profile level-idc high-tier uhd-bd ref allow-non-conformance keyint min-keyint open-gop radl bframes
    b-adapt bframe-bias b-pyramid b-intra scenecut scenecut-bias hist-scenecut intra-refresh rc-lookahead
    gop-lookahead lookahead-slices lookahead-threads ctu min-cu-size max-tu-size tu-intra-depth tu-inter-depth
    limit-tu limit-refs limit-modes rect amp early-skip rskip rskip-edge-threshold splitrd-skip fast-intra
    cu-lossless tskip tskip-fast rd rd-refine dynamic-rd rdoq rdoq-level psy-rd psy-rdoq rdpenalty ssim-rd max-merge
    me subme merange temporal-mvp hme hme-search hme-range weightp weightb analyze-src-pics strong-intra-smoothing
    constrained-intra cip signhide bitrate qp crf crf-max crf-min lossless vbv-bufsize vbv-maxrate vbv-init vbv-end
    min-vbv-fullness max-vbv-fullness strict-cbr qpmin qpmax qpstep qcomp ipratio pbratio qblur cplxblur rc-grain
    aq-mode aq-strength aq-motion aq-bias-strength qg-size hevc-aq cutree cbqpoffs crqpoffs nr-intra nr-inter mcstf
    const-vbv fades scc zones scaling-list deblock sao sao-non-deblock limit-sao selective-sao slices copy-pic
    threads pools numa-pools frame-threads wpp pmode pme asm annexb aud eob eos hrd hrd-concat info hash
    repeat-headers temporal-layers idr-recovery-sei opt-qp-pps opt-ref-list-length-pps opt-cu-delta-qp single-sei
    lowpass-dct field interlace frame-dup dup-threshold psnr ssim log-level max-cll master-display hdr10 hdr10-opt
    sar overscan videoformat range chromaloc display-window atc-sei pic-struct cll slow-firstpass"""
)
_SVTAV1 = _words(
    """preset crf qp qp-scale-compress-strength min-qp max-qp rc tbr mbr keyint irefresh-type scd lookahead
    hierarchical-levels pred-struct lp pin tile-rows tile-columns aq-mode tune fast-decode enable-overlays enable-tf
    tf-strength enable-dlf enable-cdef enable-restoration enable-tpl-la enable-mfmv enable-intrabc enable-palette
    enable-obmc enable-global-motion enable-warped-motion enable-filter-intra enable-superres superres-mode
    superres-denom superres-kf-denom superres-qthres superres-kf-qthres enable-qm qm-min qm-max chroma-qm-min
    chroma-qm-max enable-variance-boost variance-boost-strength variance-octile variance-boost-curve
    enable-alt-curve sharpness film-grain film-grain-denoise adaptive-film-grain scm rmv undershoot-pct
    overshoot-pct mbr-overshoot-pct bias-pct minsection-pct maxsection-pct buf-sz buf-initial-sz buf-optimal-sz
    recode-loop gop-constraint-rc use-fixed-qindex-offsets key-frame-qindex-offset key-frame-chroma-qindex-offset
    qindex-offsets chroma-qindex-offsets luminance-qp-bias enable-dg startup-mg-size startup-qp-offset max-tx-size
    noise-norm-strength kf-tf-strength psy-rd spy-rd ac-bias mastering-display content-light avif rtc
    chroma-u-dc-qindex-offset chroma-u-ac-qindex-offset chroma-v-dc-qindex-offset chroma-v-ac-qindex-offset
    luma-y-dc-qindex-offset low-memory profile level tier resize-mode resize-denom resize-kf-denom asm"""
)
_LISTS: dict[str, tuple[str, frozenset[str]]] = {
    "x264-params": ("x264", _X264),
    "x264opts": ("x264", _X264),
    "x265-params": ("x265", _X265),
    "svtav1-params": ("SVT-AV1", _SVTAV1),
}
"""Options that hold a list NAME=VALUE:NAME=VALUE of the encoder's own parameters: name of the encoder, and allowed
parameters."""

_ENCODERS: dict[str, tuple[str, str]] = {
    "h264": ("libx264", "h264_nvenc"),
    "hevc": ("libx265", "hevc_nvenc"),
    "av1": ("libsvtav1", "av1_nvenc"),
    "vp9": ("libvpx-vp9", ""),
    "prores": ("prores_ks", ""),
    "ffv1": ("ffv1", ""),
}
"""Codec → FFmpeg's names of its software encoder and its GPU encoder; '' if there is no GPU encoder."""
_KEEP_ALPHA = {"prores", "ffv1", "vp9"}


def allow_codec(codec: str, encoder: str, options: Iterable[str], *, alpha: bool) -> None:
    """Make the name of an added codec valid in settings; called by `recycle.video.codecs.add_codec`.

    `encoder` is FFmpeg's name of its encoder, `options` are the encoder's allowed options beyond the common ones, and
    `alpha` tells whether the codec keeps transparency. Raises ValueError if the name of the codec is taken.
    """
    if codec in _ENCODERS:
        raise ValueError(f"there is a codec '{codec}' already")
    _ENCODERS[codec] = encoder, ""
    _OPTIONS[encoder] = _OPTIONS.get(encoder, frozenset()) | frozenset(options)
    if alpha:
        _KEEP_ALPHA.add(codec)


def known_codec(value: object) -> str:
    """The name of a codec, validated. Raises pydantic's error (PydanticCustomError) for an unknown codec."""
    if isinstance(value, str) and value in _ENCODERS:
        return value
    *names, last = (f"'{name}'" for name in _ENCODERS)
    expected = f"{', '.join(names)} or {last}"
    raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})


def keeps_alpha(codec: str) -> bool:
    """Whether a codec can keep transparency."""
    return codec in _KEEP_ALPHA


def check_options(codec: str, options: Mapping[str, str], *, hardware: bool) -> None:
    """Raise ValueError for an option or value that is not allowed for the encoder of `codec`.

    The message is one line and names the option. With `hardware`, options of the GPU encoder are allowed too.
    """
    software, gpu = _ENCODERS[codec]
    allowed = _ANY | _OPTIONS[software] | (_NVENC if hardware and gpu else frozenset())
    name_of_encoder = f"{software} or {gpu}" if hardware and gpu else software
    for name, value in options.items():
        if name not in allowed:
            raise ValueError(_unknown(f"the encoder option '{name[:60]}'", name, allowed, name_of_encoder))
        if name in _LISTS:
            _check_list(name, value)
        elif not _fits(name, value, _PLAIN):
            raise ValueError(f"the encoder option '{name}' does not accept the value '{value[:60]}'")


def _check_list(option: str, text: str) -> None:
    """Check a list NAME=VALUE:NAME=VALUE. Escapes and quotes are refused, because the encoder would interpret them."""
    encoder, allowed = _LISTS[option]
    for part in text.split(":"):
        name, equals, value = part.partition("=")
        plain = name.replace("_", "-")
        positive = plain.removeprefix("no-")
        if positive not in allowed or not re.fullmatch(r"[a-z0-9-]+", plain, re.ASCII):
            raise ValueError(_unknown(f"the parameter '{name[:60]}' in the option '{option}'", plain, allowed, encoder))
        if equals and not _fits(positive, value, _NESTED):
            raise ValueError(
                f"the parameter '{name}' in the option '{option}' does not accept the value '{value[:60]}'; write "
                f"{option}=NAME=VALUE:NAME=VALUE with plain values, without quotes, spaces or backslashes"
            )


def _fits(name: str, value: str, usual: re.Pattern[str]) -> bool:
    return len(value) <= _LONGEST and _VALUES.get(name, usual).fullmatch(value) is not None


def _unknown(what: str, name: str, allowed: frozenset[str], encoder: str) -> str:
    near = difflib.get_close_matches(name[:60], sorted(allowed), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"allowed are {', '.join(sorted(allowed))}"
    return f"{what} is not allowed for {encoder}, because only options that access no files are; {hint}"
