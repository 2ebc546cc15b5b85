"""The state that a job leaves: its own parts go on from it, and a server starts warm from it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service import config_file, serving
from service.backfill import job, state
from service.backfill.program import served
from tests.backfill.conftest import parts, run
from tests.service.conftest import Place


@pytest.mark.parametrize("block_rows", [0, 700, job.BLOCK_ROWS])
def test_a_state_that_was_written_is_taken_in_again(
    written: tuple[Path, Path], block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on from a state is what goes on without a break: the state that both end with is the same."""
    asked = {"labels": written[1], "part_rows": 1_500, "block_rows": min(block_rows, 3_000), "keep_s": 0.0}
    whole = run(written[0], tmp_path / "whole", **asked, warm=(tmp_path / "one", bytes(32)))
    assert whole.digest is not None
    taken_in = []

    class Killed(Exception):
        pass

    def keep(door: object, work: Path, transactions: int) -> None:
        real(door, work, transactions)  # type: ignore[arg-type]
        if transactions == 6_000:
            raise Killed

    real = state.keep
    monkeypatch.setattr(state, "keep", keep)
    with pytest.raises(Killed):
        run(written[0], tmp_path / "killed", **asked, warm=(tmp_path / "two", bytes(32)))
    monkeypatch.undo()
    monkeypatch.setattr(state, "take_in", lambda *asked: taken_in.append(found := real_take_in(*asked)) or found)
    again = run(written[0], tmp_path / "killed", **asked, warm=(tmp_path / "two", bytes(32)), resume=True)
    assert taken_in == [6_000]
    assert again == whole


real_take_in = state.take_in


def test_a_server_starts_warm_from_what_a_backfill_ends_with(place: Place, tmp_path: Path) -> None:
    from service import simulate

    transactions, labels = simulate.write(tmp_path, *place.tables)
    config = tmp_path / "fraudgate.toml"
    text = place.config.read_text()
    for name in ("certificates", "trained"):
        text = text.replace(f'"{name}/', f'"{place.folder / name}/')
    key = tmp_path / "journal.key"
    key.touch(mode=0o600)
    key.write_text("07" * 32)
    config.write_text(text + f'\n[journal]\nfolder = "{tmp_path / "journal"}"\nkey = "{key}"\n')
    read = config_file.read(config, {})
    done = run(
        transactions,
        tmp_path / "out",
        labels=labels,
        program=served(read, None),
        wanted=job.Wanted(),
        warm=(tmp_path / "journal", b"\x07" * 32),
    )
    assert done.answered == len(pq.read_table(transactions)) == len(parts(tmp_path / "out"))
    server = serving.prepared(read)
    assert server.digest() == done.digest
    with pytest.raises(ValueError, match="holds a journal: a server starts from it as it is"):
        run(
            transactions,
            tmp_path / "again",
            labels=labels,
            program=served(read, None),
            warm=(tmp_path / "journal", b"\x07" * 32),
        )
