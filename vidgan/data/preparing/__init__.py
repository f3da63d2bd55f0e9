"""Turn a folder of videos into a prepared data set, in five stages with one result type each.

| stage | file | result | runs in |
|---|---|---|---|
| LIST | `listing` (uses `vidgan.data.layouts.discovery`) | `vidgan.data.sources.source.Listed` | main process |
| READ | `reading` (uses `vidgan.data.sources.readers`) | `vidgan.data.sources.readers.ReadClip` | worker processes |
| CUT | `cutting` (uses `shots`) | `CutSource`; the arrays of its clips are on disk | worker processes |
| SPLIT | `splitting` (uses `grouping`) | `SplitClips` | main process |
| STORE | `storing` | `vidgan.data.store.index.Index` | main process |

`prepare` runs them in this order; `parts` distributes READ and CUT over machines. `options` checks the options,
`worker_processes` runs READ and CUT under time and memory limits, `output_folder` and `ledger` make interrupted runs
resumable, and `quarantine` reports refused files. `shapes` prepares rendered shapes with their true flow.
"""
