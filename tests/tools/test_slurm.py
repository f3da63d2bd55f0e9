"""The Slurm script, with stand-ins for Slurm and vidgan: what is started, and what happens when the time is over."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "slurm" / "train.sbatch"
STAND_INS = {
    "srun": 'shift; SLURM_NODEID=1 exec "$@"',
    "scontrol": 'if [ "$1" = show ]; then echo first; echo second; else echo "$@" > "$LOGS/requeued"; fi',
    "vidgan": """
echo "$@" > "$LOGS/started"
trap 'echo saved > "$LOGS/saved"; exit 143' TERM
for i in $(seq 100); do sleep 0.1; [ -e "$LOGS/finish" ] && exit "$(cat "$LOGS/finish")"; done
""",
}


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """An environment in which the commands above are found first."""
    for name, text in STAND_INS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    job = {"SLURM_GPUS_ON_NODE": "8", "SLURM_JOB_NODELIST": "x", "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2"}
    return os.environ | job | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOGS": str(tmp_path)}


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().strip()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_job_that_is_stopped_saves_and_queues_again(
    slurm: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    command = ["bash", str(SCRIPT), "mocogan/vidgan", "data.root=/some where", "train.steps=9"]
    job = subprocess.Popen(command, env=slurm, stdout=subprocess.DEVNULL)
    started = wait_for(tmp_path / "started")
    assert started == (
        "train mocogan/vidgan data.root=/some where train.steps=9 --processes 8 --nodes 2 --master-addr first"
        " --master-port 20007 --node-rank 1 --restarts 3 --quiet"
    )
    job.send_signal(number)
    assert job.wait(timeout=30) == 0
    assert wait_for(tmp_path / "saved") == "saved"
    assert wait_for(tmp_path / "requeued") == "requeue 7"


@pytest.mark.parametrize("code", [0, 1])
def test_a_job_that_ends_by_itself_keeps_its_exit_code(slurm: dict[str, str], tmp_path: Path, code: int) -> None:
    (tmp_path / "finish").write_text(str(code))
    done = subprocess.run(["bash", str(SCRIPT), "mocogan/vidgan"], env=slurm | {"SLURM_JOB_NUM_NODES": "1"}, timeout=30)
    assert done.returncode == code and not (tmp_path / "requeued").exists()
    assert wait_for(tmp_path / "started") == "train mocogan/vidgan --processes 8 --restarts 3 --quiet"


def test_a_config_must_be_named() -> None:
    refused = subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True)
    assert refused.returncode == 2 and "usage: sbatch" in refused.stderr
