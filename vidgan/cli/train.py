"""Options of `vidgan train`."""

from typing import Annotated

import typer

from vidgan.cli.arguments import AllowOwnCode


def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a shipped config such as mocogan/vidgan.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as a.b=c, for example data.root=DATA.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=1024, help="Processes to start on this machine (one per GPU).")
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(min=1, max=65_536, help="Number of machines; run the same command on each, with its --node-rank."),
    ] = 1,
    node_rank: Annotated[int | None, typer.Option(min=0, max=65_535, help="Number of this machine, from 0.")] = None,
    master_addr: Annotated[
        str | None, typer.Option(help="Host name or address of machine 0, to which all connect.")
    ] = None,
    master_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Free port of machine 0 [default: 29500].")
    ] = None,
    restarts: Annotated[
        int,
        typer.Option(
            min=0, max=1_000_000, help="Restart from the last checkpoint after a crash, at most N times in a row."
        ),
    ] = 0,
    on_nonfinite: Annotated[
        str | None,
        typer.Option(
            help="After NaN or infinity: stop, or rollback to the last checkpoint and skip the batch [default: stop]."
        ),
    ] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume even if the config differs from the run's.")
    ] = False,
    allow_own_code: AllowOwnCode = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the compute, memory, disk and network use of the run; train nothing."),
    ] = False,
    find_batch: Annotated[
        bool, typer.Option("--find-batch", help="Print the largest batch that fits this machine; train nothing.")
    ] = False,
) -> None:
    """Train a model. The same command resumes an interrupted run; Ctrl-C saves a checkpoint first."""
    changes = [*(overrides or []), *([] if on_nonfinite is None else [f"guards.on_nonfinite={on_nonfinite}"])]
    if dry_run and find_batch:
        raise typer.BadParameter("--dry-run and --find-batch exclude each other")
    if dry_run or find_batch:
        from vidgan.commands.find_batch import find_batch as run_search
        from vidgan.commands.plan import plan_training
        from vidgan.own_code import own_code

        with own_code(allowed=allow_own_code):
            describe = plan_training if dry_run else run_search
            typer.echo(describe(config, changes, processes=processes, nodes=nodes))
        return
    if processes * nodes > 1 or restarts or node_rank is not None or master_addr or master_port:
        from vidgan.commands.launch import relaunch

        code = relaunch(
            config,
            changes,
            processes=processes,
            nodes=nodes,
            node_rank=node_rank,
            master_addr=master_addr,
            master_port=master_port,
            restarts=restarts,
        )
        raise typer.Exit(code)
    from vidgan.commands.train import train as run_training

    result = run_training(config, changes, allow_own_code=allow_own_code, accept_changes=accept_changes, quiet=quiet)
    raise typer.Exit(result.exit_code)
