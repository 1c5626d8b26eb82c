"""Extracts closed captions (CTA-608 and CTA-708, stored as ATSC A/53 side data) from the frames of a video."""

from fractions import Fraction
from typing import cast

import av
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation, VideoReformatter

from recycle.video.conceal import Decoded
from recycle.video.sidedata import side_data

_SIDE = 16
_FORMAT = "gray"


class Captions:
    """Extracts the captions of decoded frames; use one instance for all frames of a video."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._graphs: dict[tuple[int, ...], Graph] = {}

    def of(self, decoded: Decoded) -> av.VideoFrame | None:
        """A 16 × 16 grey frame whose only side data are the captions of the frame; None without captions.

        A concealed frame also returns None: it repeats a neighbour, so its captions would appear twice.
        """
        kinds = side_data(decoded.frame).keys()
        if decoded.concealed or Type.A53_CC not in kinds:
            return None
        tiny = self._scaler.reformat(
            decoded.frame, width=_SIDE, height=_SIDE, format=_FORMAT, interpolation=Interpolation.POINT
        )
        others = tuple(sorted(cast(int, kind.value) for kind in kinds - {Type.A53_CC}))
        if not others:
            return tiny
        graph = self._graphs.get(others)
        if graph is None:
            graph = self._graphs[others] = _without(others)
        graph.vpush(tiny)
        return graph.vpull()


def _without(kinds: tuple[int, ...]) -> Graph:
    """A filter graph that removes side data of these kinds (AVFrameSideDataType); encoders would write some of them."""
    graph = Graph()
    source = graph.add_buffer(
        width=_SIDE, height=_SIDE, format=av.VideoFormat(_FORMAT, _SIDE, _SIDE), time_base=Fraction(1, 1000)
    )
    filters = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    return graph
