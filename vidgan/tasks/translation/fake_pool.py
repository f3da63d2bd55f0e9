"""Old fakes for a discriminator: it then does not forget what the generator drew before (Shrivastava et al. 2017)."""

import torch
from torch import Tensor, nn

from vidgan.seeding import Draws

__all__ = ["FakePool"]


class FakePool(nn.Module):
    """Keeps fakes and gives some of them back, as CycleGAN does. Its content is saved with the run's checkpoints.

    Args:
        size: fakes kept; 0 keeps none.
        shape: of a fake.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fakes: Tensor, draws: Draws) -> Tensor:
        """Fakes (N, ...) -> for each of them itself, or with probability 1/2 an older one, in whose place it is kept.

        While the pool is not full, every fake is kept and given back.

        Args:
            fakes: N of them.
            draws: one stream per fake.
        """
        size = len(self.images)
        if size == 0:
            return fakes
        coins, places = draws.uniform(1)[:, 0].tolist(), draws.integers(size, 1)[:, 0].tolist()
        given = fakes.detach().clone()
        for number, (coin, place) in enumerate(zip(coins, places, strict=True)):
            if int(self.filled) < size:
                self.images[int(self.filled)] = fakes[number]
                self.filled += 1
            elif coin < 0.5:
                given[number] = self.images[place]
                self.images[place] = fakes[number]
        return given
