"""Runs `vidgan` commands in processes that are forked from one that has imported the libraries already.

A new process imports torch for seconds before a command begins. Here one process imports it once and forks for each
command: each still has its own memory, working directory and environment. Requests and answers are lines of JSON.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Finished(NamedTuple):
    """How a command ended."""

    returncode: int
    output: str  # standard output and standard error


class CommandServer:
    """Context manager with the forking process."""

    def __enter__(self) -> "CommandServer":
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        self._process: Any = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def run(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Finished:
        """Run `vidgan ARGUMENTS` in `folder`, with further environment variables."""
        request = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment or {})}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the command server died"
        return Finished(*json.loads(answer))


def _serve() -> None:
    import vidgan.build
    import vidgan.commands.demo  # noqa: F401  (brings along nearly everything)

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        output, writer = os.pipe()
        child = os.fork()
        if child == 0:
            answers.close()
            os.close(output)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            _run(request)
        os.close(writer)
        with os.fdopen(output, errors="replace") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), text]) + "\n")
        answers.flush()


def _run(request: Mapping[str, Any]) -> None:
    """Run the command in this forked process, and end it as the interpreter would."""
    code = 1
    try:
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        sys.argv = ["vidgan", *request["arguments"]]
        from vidgan.__main__ import main

        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
