"""Programs that show the curves and previews of runs, behind one interface."""

from recycle.training.trackers.base import Tracked, Tracker
from recycle.training.trackers.table import TRACKERS, check_trackers

__all__ = ["TRACKERS", "Tracked", "Tracker", "check_trackers"]
