"""The demo on a small world, and what it tells to try next."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from service import certificates, simulate
from service.demo import configuration, scorer
from service.demo.play import play
from service.demo.story import HANDBOOK, at_hand, simulated
from service.scoring import Connection
from tests.published import published

SMALL = simulate.Scale(customers=500, terminals=800, days=40, seed=2)


@pytest.mark.slow
def test_the_demo_serves_what_an_offline_fold_gives_and_what_it_says_next_works(tmp_path: Path) -> None:
    told = io.StringIO()
    story = simulated(SMALL)
    play(story, tmp_path / "demo", Console(file=told, width=120))
    shown = told.getvalue()

    (scored,) = re.findall(r"transactions +│ +([\d,]+) ", shown)
    (as_folded,) = re.findall(r"to the bit +│ +([\d,]+) ", shown)
    assert as_folded == scored
    assert int(scored.replace(",", "")) > 5000
    detected = re.findall(r"│ (student|teacher), .*? +│ +([\d.]+) │ +([\d.]+) │ +([\d.]+) │", shown)
    assert [name for name, *_ in detected] == ["student", "teacher"]
    assert all(0 <= float(figure) <= 1 for _, *figures in detected for figure in figures)
    assert len(re.findall(r"\(\+\d+\.\d\d\)", shown)) >= 5

    serve, score = (shlex.split(line)[1:] for line in shown.splitlines() if line.startswith("  fraudgate "))
    assert serve[0] == "serve"
    folder = certificates.Folder(tmp_path / "demo/certificates")
    connection = Connection.of_folder(score[score.index("--target") + 1], folder, configuration.CLIENT)
    with scorer.running(Path(serve[serve.index("--config") + 1]), tmp_path / "again.log", connection):
        done = subprocess.run([sys.executable, "-m", "service", *score], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"tier": "TIER_FULL"' in done.stdout

    trained = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "demo").glob("model-*")}
    assert len(trained) == 1
    again = io.StringIO()
    play(story, tmp_path / "demo", Console(file=again, width=120))
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "demo").glob("model-*")} == trained
    assert re.findall(r"│ student, .*", again.getvalue()) == re.findall(r"│ student, .*", shown)


@pytest.mark.slow
def test_on_the_handbook_s_week_the_student_as_served_beats_every_published_model(tmp_path: Path) -> None:
    """Chapter 3's protocol. Published: AUC .871 (logistic regression), AP .658 (random forest), CP@100 .291."""
    told = io.StringIO()
    story = at_hand(published(HANDBOOK).parent)
    play(story, tmp_path / "demo", Console(file=told, width=120))
    shown = told.getvalue()
    (scored,) = re.findall(r"transactions +│ +([\d,]+) ", shown)
    (as_folded,) = re.findall(r"to the bit +│ +([\d,]+) ", shown)
    assert as_folded == scored == "67,080"
    ((auc, average_precision, card_precision),) = re.findall(
        r"│ student, as served +│ +([\d.]+) │ +([\d.]+) │ +([\d.]+) │", shown
    )
    assert float(auc) > 0.871
    assert float(average_precision) >= 0.68
    assert float(card_precision) > 0.291
