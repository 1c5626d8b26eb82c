"""All checks, in the order in which they run."""

from tools.gpu_checking.compiled import COMPILED
from tools.gpu_checking.figures import FIGURES
from tools.gpu_checking.media import MEDIA
from tools.gpu_checking.networks import NETWORKS
from tools.gpu_checking.runs import RUNS

CHECKS = (*NETWORKS, *MEDIA, *RUNS, *FIGURES, *COMPILED)
