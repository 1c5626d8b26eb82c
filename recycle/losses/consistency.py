"""Losses that compare frames with frames: cycle, recycle, recurrent, identity, unsupervised, paired.

Clips are (B, T, 3, H, W) in [-1, 1]; all losses are scalars. ‖·‖² of the formulas is the mean over batch, channels and
pixels of squares ("l2") or of absolute values ("l1", as in the original code); sums over time are sums. Each function
covers one direction; x is the clip to which the translation is compared.
"""

from typing import Literal

from torch import Tensor

from recycle.losses.adversarial import at_least_float32, sum_over_frames

Distance = Literal["l1", "l2"]
"""Distance between frames: mean absolute ("l1") or mean squared ("l2") difference."""


def frame_distance(x: Tensor, y: Tensor, distance: Distance) -> Tensor:
    """Σ_t ‖x_t − y_t‖ of two clips (B, T, 3, H, W) → scalar."""
    difference = at_least_float32(x) - at_least_float32(y)
    return sum_over_frames(difference.abs() if distance == "l1" else difference**2)


def cycle_loss(x: Tensor, back: Tensor, distance: Distance) -> Tensor:
    """L_c = Σ_t ‖x_t − G_X(G_Y(x_t))‖²; `back` = G_X(G_Y(x)) (Zhu et al. 2017, eq. 2)."""
    return frame_distance(x, back, distance)


def recycle_loss(x_next: Tensor, back: Tensor, distance: Distance) -> Tensor:
    """L_r = Σ_t ‖x_{t+1} − G_X(P_Y(G_Y(x_{1:t})))‖²; `back` = G_X(P_Y(…)) (Bansal et al. 2018, eq. 4)."""
    return frame_distance(x_next, back, distance)


def recurrent_loss(x_next: Tensor, predicted: Tensor, distance: Distance) -> Tensor:
    """L_τ = Σ_t ‖x_{t+1} − P_X(x_{1:t})‖²; `predicted` = P_X(x_{1:t}) (Bansal et al. 2018, eq. 3)."""
    return frame_distance(x_next, predicted, distance)


def identity_loss(x: Tensor, same: Tensor, distance: Distance) -> Tensor:
    """Σ_t ‖x_t − G_X(x_t)‖; `same` = G_X(x): a frame that is already in X stays unchanged (Zhu et al. 2017, 5.2)."""
    return frame_distance(x, same, distance)


def unsupervised_spatial_loss(warped: Tensor, of_warped: Tensor, distance: Distance) -> Tensor:
    """‖W(G_Y(x)) − G_Y(W(x) + Δ)‖ for a synthetic motion W and noise Δ (see `recycle.losses.flow`).

    `warped` = W(G_Y(x)); `of_warped` = G_Y(W(x) + Δ). Source: Wang et al., "Learning Temporally and Semantically
    Consistent Unpaired Video-to-video Translation Through Pseudo-Supervision From Synthetic Optical Flow" (AAAI 2022),
    the unsupervised spatial loss.
    """
    return frame_distance(warped, of_warped, distance)


def unsupervised_recycle_loss(warped: Tensor, back: Tensor, distance: Distance) -> Tensor:
    """‖W(x) − G_X(W(G_Y(x)) + Δ)‖ for a synthetic motion W (Wang et al. 2022, the unsupervised recycle loss).

    `warped` = W(x); `back` = G_X(W(G_Y(x)) + Δ).
    """
    return frame_distance(warped, back, distance)


def conservation_loss(x: Tensor, translated: Tensor, inside: Tensor, distance: Distance) -> Tensor:
    """Σ_t ‖(1 − m_t) (x_t − G_Y(x_t))‖: outside of the mask m the translation is its source.

    `inside` = m, (B, T, 1, H, W) in [0, 1]. The mean is over all pixels. It is the loss `out_mask` of joliGEN, and the
    context loss of InstaGAN without its boundary weights (Mo et al., ICLR 2019, eq. 6).
    """
    return frame_distance((1 - inside) * x, (1 - inside) * translated, distance)


def paired_loss(truth: Tensor, translated: Tensor) -> Tensor:
    """Σ_t ‖y_t − G_Y(x_t)‖₁; `truth` = y, the true counterpart of x (Isola et al. 2017, "pix2pix", eq. 3)."""
    return frame_distance(truth, translated, "l1")


def distillation_loss(taught: Tensor, translated: Tensor) -> Tensor:
    """Σ_t ‖T_Y(x_t) − G_Y(x_t)‖₁; `taught` = T_Y(x) by the teacher's generator (output distillation: Hinton et al.
    2015)."""
    return frame_distance(taught, translated, "l1")
