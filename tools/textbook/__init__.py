"""Both algorithms as a reader of the papers would write them in plain torch: the reference of `bench_train.py`.

The same networks as `mocogan/paper` and `dual_motion/paper`, the same losses and the same order of turns, and none of
what makes the package fast: eager float32, no memory layout, every turn samples its fakes anew (of whole clips, and
with their graph), discriminators are not frozen in the generator's turn, optimizers and noise as they come.
"""
