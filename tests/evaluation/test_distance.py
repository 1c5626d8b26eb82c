"""FID and KID have known answers on features whose distributions are known."""

import pytest
import torch

from recycle.evaluation.distance import SUBSET, fid, kid


def normal(count: int, size: int, seed: int, *, mean: float = 0.0, deviation: float = 1.0) -> torch.Tensor:
    return mean + deviation * torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def test_identical_sets_are_not_apart() -> None:
    features = normal(80, 16, 0)
    assert fid(features, features) == pytest.approx(0, abs=1e-6)
    same = kid(features, features)
    assert same is not None
    assert -0.5 < same <= 0  # unbiased for independent pictures: equal ones only count towards likeness


@pytest.mark.parametrize("size", [4, 300])
def test_a_shift_counts_as_its_squared_length(size: int) -> None:
    features = normal(60, size, 0)  # fewer pictures than features, too
    shift = torch.zeros(size)
    shift[:2] = torch.tensor([3.0, 4.0])
    assert fid(features + shift, features) == pytest.approx(25, rel=1e-4)


def test_a_wider_spread_counts_by_its_deviations() -> None:
    real = normal(50, 8, 0)
    real = real - real.mean(0)
    variance = real.double().T.cov().trace().item()
    assert fid(3 * real, real) == pytest.approx((3 - 1) ** 2 * variance, rel=1e-4)  # tr(9Σ + Σ − 2·3Σ)


def test_fid_equals_the_formula() -> None:
    a, b = normal(90, 6, 1) @ normal(6, 6, 2), normal(70, 6, 3, mean=0.5)
    cov_a, cov_b = a.double().T.cov(), b.double().T.cov()
    values, vectors = torch.linalg.eigh(cov_b)
    root = vectors @ values.clamp(min=0).sqrt().diag() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_a @ root).clamp(min=0).sqrt().sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + (cov_a + cov_b).trace() - 2 * cross
    assert fid(a, b) == pytest.approx(float(expected), rel=1e-5)


def test_kid_of_two_samples_of_one_source_is_about_nothing_and_of_two_sources_is_not() -> None:
    first, second, other = normal(200, 32, 0), normal(200, 32, 1), normal(200, 32, 2, mean=1.0)
    same, apart = kid(first, second), kid(first, other)
    assert same is not None
    assert apart is not None
    assert abs(same) < 0.02 * apart


def test_kid_of_all_pictures_equals_the_unbiased_formula() -> None:
    x, y = normal(SUBSET - 10, 5, 0).double(), normal(SUBSET - 10, 5, 1, mean=0.3).double()
    m = len(x)

    def kernel(u: torch.Tensor, v: torch.Tensor) -> float:
        return float((u @ v / 5 + 1) ** 3)

    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(kernel(u, v) for u in x for v in y) / m**2
    assert kid(x, y) == pytest.approx(within - 2 * between, rel=1e-6)


def test_kid_is_the_same_every_time_and_leaves_the_random_numbers_alone() -> None:
    a, b = normal(120, 8, 0), normal(90, 8, 1, deviation=2)
    torch.manual_seed(7)
    first = kid(a, b)
    after = torch.rand(1)
    torch.manual_seed(8)
    assert kid(a, b) == first
    torch.manual_seed(7)
    assert torch.rand(1) == after


def test_one_picture_is_no_distribution() -> None:
    features = normal(5, 4, 0)
    assert fid(features[:1], features) is None
    assert kid(features, features[:1]) is None
