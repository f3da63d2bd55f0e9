"""Patch search and votes against hand-made volumes and brute force."""

import torch

from vidgan.tasks.single_clip.patch_search import (
    PatchShape,
    describe,
    identity_field,
    local_search,
    main_components,
    nearest_patches,
    scale_field,
    vote,
)

PATCH = PatchShape(2, 3, 3)


def volume(seed: int, frames: int = 5, height: int = 8, width: int = 9) -> torch.Tensor:
    return torch.rand(3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def patches(one: torch.Tensor) -> torch.Tensor:
    """(N, 54), by loops."""
    _, T, H, W = one.shape
    return torch.stack(
        [
            one[:, t : t + 2, y : y + 3, x : x + 3].flatten()
            for t in range(T - 1)
            for y in range(H - 2)
            for x in range(W - 2)
        ]
    )


def test_all_components_give_mean_squared_differences() -> None:
    keys, query = volume(0), volume(1)
    components = main_components(keys, PATCH, 54)
    first, second = describe(keys, components).features, describe(query, components).features
    expected = (patches(keys)[:, None] - patches(query)).square().mean(dim=2)
    torch.testing.assert_close(torch.cdist(first, second) ** 2, expected, rtol=1e-3, atol=1e-5)


def test_exhaustive_search_is_brute_force() -> None:
    keys, query = volume(0), volume(1)
    components = main_components(keys, PATCH, 54)
    field, distances = nearest_patches(describe(query, components), describe(keys, components))
    brute = (patches(query)[:, None] - patches(keys)).square().mean(dim=2).min(dim=1)
    numbers = (field[..., 0] * 6 + field[..., 1]) * 7 + field[..., 2]
    assert torch.equal(numbers.flatten(), brute.indices)
    torch.testing.assert_close(distances.flatten(), brute.values, rtol=1e-3, atol=1e-5)


def test_completeness_prefers_patches_that_nothing_resembles() -> None:
    # Two keys, 0 and 1; all queries are 0.4, nearer to 0. The distance of key 1 to its nearest query is 0.36.
    keys = torch.zeros(1, 1, 1, 2)
    keys[..., 1] = 1
    query = torch.full((1, 1, 1, 2), 0.4)
    components = torch.ones(1, 1, 1, 1, 1)
    near, far = describe(query, components), describe(keys, components)
    assert nearest_patches(near, far)[0][..., 2].tolist() == [[[0, 0]]]
    # 0.16 / (alpha + 0.16) against 0.36 / (alpha + 0.36): the first stays smaller, whatever alpha; never an inversion.
    assert nearest_patches(near, far, completeness=0.01)[0][..., 2].tolist() == [[[0, 0]]]
    # With one more query at 0, key 0 is met exactly, and the query at 0.4 goes to the other key:
    query = torch.tensor([0.0, 0.4]).reshape(1, 1, 1, 2)
    near = describe(query, components)
    assert nearest_patches(near, far)[0][..., 2].tolist() == [[[0, 0]]]
    assert nearest_patches(near, far, completeness=0.01)[0][..., 2].tolist() == [[[0, 1]]]


def test_local_search_finds_a_shift_and_keeps_what_is_exact() -> None:
    keys = volume(0, 6, 16, 16)
    query = torch.roll(keys, (1, 2), dims=(2, 3))
    components = main_components(keys, PATCH, 54)
    asked, there = describe(query, components), describe(keys, components)
    field, distances = local_search(asked, there, identity_field(asked.shape), rounds=6, draw_keys=("test",))
    inside = field[:, 1:, 2:] - identity_field(asked.shape)[:, 1:, 2:]
    assert (inside == torch.tensor([0, -1, -2])).all(dim=-1).float().mean() > 0.95
    assert distances.min() == 0
    same = describe(keys, components)
    kept, exact = local_search(same, same, identity_field(same.shape), rounds=2, draw_keys=("test",))
    assert torch.equal(kept, identity_field(same.shape)) and exact.max() == 0


def test_the_identity_stays_the_identity_on_finer_grids() -> None:
    coarse, fine = (4, 6, 7), (6, 11, 15)
    assert torch.equal(scale_field(identity_field(coarse), fine, coarse, fine), identity_field(fine))


def test_votes_of_the_identity_are_the_volume_and_one_wrong_patch_counts_once() -> None:
    values = volume(0)
    field = identity_field((4, 6, 7))
    torch.testing.assert_close(vote(values, field, PATCH), values)
    field[0, 0, 0] = torch.tensor([3, 5, 6])
    voted = vote(values, field, PATCH)
    torch.testing.assert_close(voted[:, 0, 0, 0], values[:, 3, 5, 6])  # one patch covers the corner
    torch.testing.assert_close(voted[:, 0, 0, 1], (values[:, 3, 5, 7] + values[:, 0, 0, 1]) / 2)  # two the pixel beside


def test_votes_of_a_loop_wrap_around() -> None:
    values = volume(0)
    components = main_components(values, PATCH, 54)
    looped = describe(values, components, loop=True)
    assert looped.shape == (5, 6, 7)
    field = identity_field((5, 6, 7))
    field[4, ..., 0] = 0  # the patch of the last frame, which reaches into the first
    voted = vote(values, field, PATCH, loop=True)
    assert voted.shape == values.shape
    torch.testing.assert_close(voted[:, 0], (values[:, 0] + values[:, 1]) / 2)
    torch.testing.assert_close(voted[:, 4], (values[:, 0] + values[:, 4]) / 2)
    torch.testing.assert_close(voted[:, 2], values[:, 2])
