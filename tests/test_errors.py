"""Exceptions and the exit codes they lead to."""

import pytest

import vidgan.cli.app
from vidgan import __main__ as entry
from vidgan import errors


def exceptions() -> list[type[Exception]]:
    return [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]


@pytest.mark.parametrize("error", exceptions())
def test_every_exception_has_its_exit_code(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {errors.SourceError: ("reason", "detail"), errors.VideoError: ("a.mp4", "missing", "detail")}
    raised = error(*arguments.get(error, ("detail",)))

    def fail() -> None:
        raise raised

    monkeypatch.setattr(vidgan.cli.app, "app", fail)
    monkeypatch.delenv("VIDGAN_REPORTS", raising=False)
    monkeypatch.delenv("VIDGAN_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == (2 if issubclass(error, errors.UserError) else 1)
    assert str(raised) in capsys.readouterr().err
