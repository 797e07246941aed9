"""The scripts without a cluster: what they write, and what a job does with each end of the program.

SLURM's commands are stand-ins that note how they were called; job scripts run in a real bash.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from decks import write_data, write_deck
from jobs.site_file import KEYS, seconds
from program import PROGRAM, Outcome
from submitting import HARMFUL, call, write_site

#: Notes its arguments, one call after another; then what the test put beside it is done.
STAND_IN = """#!/bin/bash
{ printf '%s\\0' "$@"; printf '\\n\\0'; } >>"$STAND_INS/$(basename "$0").calls"
[ ! -e "$STAND_INS/$(basename "$0").do" ] || . "$STAND_INS/$(basename "$0").do"
"""


class Bench:
    """A folder with a deck, a site file and stand-ins for SLURM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stand_ins = folder.parent / "stand-ins"
        self.stand_ins.mkdir()
        for name in ("sbatch", "squeue", "scontrol", "srun"):
            (self.stand_ins / name).write_text(STAND_IN)
            (self.stand_ins / name).chmod(0o755)
        self.do("sbatch", "echo 123")
        self.environment = {**os.environ, "STAND_INS": str(self.stand_ins), "SLURM_JOB_ID": "7",
                            "PATH": f"{self.stand_ins}:{os.environ['PATH']}"}
        write_data(folder / "data.h5")
        write_deck(folder / "deck.toml", title=HARMFUL)
        self.site()

    def site(self, **keys: Any) -> None:
        """Write the site file, with a program that finds no fault with a deck."""
        write_site(self.folder / "site.toml", **{"program": "true", **keys})

    def do(self, name: str, what: str) -> None:
        """Let a stand-in do something, in bash."""
        (self.stand_ins / f"{name}.do").write_text(what + "\n")

    def calls(self, name: str) -> list[list[str]]:
        """Return the arguments of each call of a stand-in."""
        path = self.stand_ins / f"{name}.calls"
        text = path.read_text() if path.exists() else ""
        return [call.split("\0")[:-1] for call in text.split("\n\0")[:-1]]

    def submit(self, *words: object) -> Outcome:
        """Run the submit script."""
        return call("submit", "deck.toml", "site.toml", *words, folder=self.folder, environment=self.environment)

    def status(self) -> str:
        """Return what the status script says of the folder."""
        outcome = call("status", "out", folder=self.folder, environment={**self.environment, "COLUMNS": "200"})
        assert outcome.code == 0 and outcome.err == "", outcome
        return outcome.out

    def job(self, script: str = "job", **environment: str) -> Outcome:
        """Run a job's script as a node would."""
        done = subprocess.run(["bash", self.folder / f"out/slurm/{script}.sh"], env={**self.environment, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, cwd=self.folder.parent)
        return Outcome(script, done.returncode, done.stdout, "")

    def prepare_job(self, ends_with: int | str) -> None:
        """Submit, and let the launcher end with a status or do something else."""
        assert self.submit().code == 0
        self.do("srun", f"exit {ends_with}" if isinstance(ends_with, int) else ends_with)
        self.do("squeue", "echo RUNNING")
        # SLURM ends a script that requeued its job.
        self.do("scontrol", "kill -KILL $PPID")

    def requeued(self) -> bool:
        """Return whether the job went back to the queue, and nothing else happened to it."""
        calls = self.calls("scontrol")
        assert calls in ([], [["requeue", "7"]])
        return bool(calls)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench in a folder whose name has to be quoted."""
    (tmp_path / HARMFUL).mkdir()
    return Bench(tmp_path / HARMFUL)


def test_the_program_gets_every_word_as_it_was_given(bench: Bench) -> None:
    environment = {"WITH_ALL": HARMFUL, "PLAIN": "1", "EMPTY": ""}
    # A shell that is no login shell has to look for the function.
    (bench.stand_ins / "init").mkdir()
    (bench.stand_ins / "init/bash").write_text('module() { printf "%s\\0" "$@" $\'\\n\\0\' >>"$STAND_INS/module.calls"; }')
    bench.environment["MODULESHOME"] = str(bench.stand_ins)
    bench.site(environment=environment, modules=["gcc/12", HARMFUL.splitlines()[0]],
               launcher_options=["--distribution", "block; touch harm"], threads_per_rank=3)
    bench.do("srun", "; ".join(f'printf %s "${name}" >"$STAND_INS/{name}"' for name in [*environment, "OMP_NUM_THREADS"]))
    outcome = bench.submit("--set", f"title={json.dumps(HARMFUL)}", "--", "-eps_ncv", "40 `touch harm`")
    assert outcome.code == 0, outcome
    done = bench.job()
    assert done.code == 0, done
    out = str(bench.folder / "out")
    (words,) = bench.calls("srun")
    assert words == ["--export=ALL", "--nodes=2", "--ntasks=2", "--cpus-per-task=3", "--kill-on-bad-exit=0", "--wait=60",
                     "--distribution", "block; touch harm", "true", "run", f"{out}/slurm/deck.toml", "--set",
                     f"title={json.dumps(HARMFUL)}", "--set", "numerics.threads=3", "--output", out, "--resume", "--",
                     "-eps_ncv", "40 `touch harm`"]
    # Once where the deck is checked and once in the job.
    assert bench.calls("module") == 2 * [["load", "gcc/12"], ["load", HARMFUL.splitlines()[0]]]
    for name, value in {**environment, "OMP_NUM_THREADS": "3"}.items():
        assert (bench.stand_ins / name).read_text() == value
    assert not list(bench.folder.parent.rglob("harm*"))


def test_print_shows_what_submit_does_and_does_nothing(bench: Bench) -> None:
    shown = bench.submit("--print")
    assert shown.code == 0 and not bench.calls("sbatch") and not (bench.folder / "out").exists(), shown
    commands = shown.out.split("# ---- commands\n")[1]
    assert bench.submit().code == 0
    assert [shlex.split(commands)[1:]] == bench.calls("sbatch")
    assert (bench.folder / "out/slurm/job.sh").read_text() in shown.out
    assert "--signal=B:USR1@120" in bench.calls("sbatch")[0]


@pytest.mark.parametrize(("status", "said"), [(0, "done"), (2, "deck or the command line"), (3, "input data"),
                                              (4, "did not converge"), (127, "cannot be started")])
def test_an_end_that_another_try_would_not_change(bench: Bench, status: int, said: str) -> None:
    bench.prepare_job(ends_with=status)
    outcome = bench.job()
    assert outcome.code == status and said in outcome.out.splitlines()[-1], outcome
    assert not bench.requeued()


@pytest.mark.parametrize("status", [5, 1, 137])
def test_an_end_that_goes_on_in_another_try(bench: Bench, status: int) -> None:
    bench.prepare_job(ends_with=status)
    assert "back to the queue, try 1 of 20" in bench.job().out
    assert bench.requeued()


def test_tries_have_a_limit(bench: Bench) -> None:
    bench.site(tries=2)
    bench.prepare_job(ends_with=5)
    outcome = bench.job(SLURM_RESTART_COUNT="2")
    assert outcome.code == 5 and "all 2 tries are used" in outcome.out, outcome
    # A node that fails takes a try too, without asking.
    assert len(bench.calls("srun")) == 1
    outcome = bench.job(SLURM_RESTART_COUNT="3")
    assert outcome.code == 5 and "all 2 tries are used" in outcome.out and len(bench.calls("srun")) == 1, outcome
    assert not bench.requeued()


def test_a_crash_that_comes_back_is_not_tried_for_ever(bench: Bench) -> None:
    bench.prepare_job(ends_with=139)
    assert ["back to the queue" in bench.job().out for _ in range(2)] == [True, True]
    # A checkpoint between them is progress.
    bench.do("srun", "exit 5")
    bench.job()
    bench.do("srun", "exit 139")
    ends = [bench.job().out for _ in range(3)]
    assert ["back to the queue" in said for said in ends] == [True, True, False]
    assert "status 139: ended by force 3 times; not started again" in ends[2]


def test_a_job_that_is_being_cancelled_stays_cancelled(bench: Bench) -> None:
    bench.prepare_job(ends_with=5)
    bench.do("squeue", "echo COMPLETING")
    outcome = bench.job()
    assert outcome.code == 5 and "the job is COMPLETING" in outcome.out and not bench.requeued(), outcome


def test_a_controller_that_does_not_answer_stops_no_job(bench: Bench) -> None:
    bench.prepare_job(ends_with=5)
    bench.do("squeue", "exit 1")
    assert "back to the queue" in bench.job().out and bench.requeued()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_the_signal_reaches_the_launcher_as_one_that_it_passes_on(bench: Bench, number: signal.Signals) -> None:
    bench.prepare_job(ends_with='trap "exit 5" USR1; trap "exit 143" TERM; : >"$STAND_INS/at-work"; '
                                'for i in {1..600}; do sleep 0.1; done')
    job = subprocess.Popen(["bash", bench.folder / "out/slurm/job.sh"], env=bench.environment, stdout=subprocess.PIPE,
                           text=True)
    end = time.monotonic() + 30
    while not (bench.stand_ins / "at-work").exists() and time.monotonic() < end:
        time.sleep(0.01)
    job.send_signal(number)
    said = job.communicate(timeout=30)[0]
    assert "status 5: stopped with a checkpoint" in said and bench.requeued(), said


def test_every_problem_of_a_site_file_is_named(bench: Bench) -> None:
    (bench.folder / "site.toml").write_text(
        'tme = "1:00:00"\nranks_per_node = 0\nlauncher = "aprun"\nsbatch = ["-p gpu", "gpu"]\nmodules = "gcc"\n'
        'partition = "a\\nb"\n[environment]\n"A B" = "1"\n')
    outcome = bench.submit()
    assert outcome.code == 2
    for part in ("unknown key 'tme'; did you mean 'time'?", "key 'time' is needed",
                 "key 'ranks_per_node': expected an integer >= 1", "key 'launcher': expected \"srun\" or \"mpirun\"",
                 "'gpu' is none", "key 'modules': expected a list", "key 'partition': expected a text of one line",
                 "'A B' is no name of a variable"):
        assert part in outcome.err, outcome
    assert not bench.calls("sbatch") and not (bench.folder / "out").exists()


@pytest.mark.parametrize(("text", "value"), [
    ("5", 300), ("5:10", 310), ("1:00:01", 3601), ("1-2", 93600), ("1-0:1", 86460), ("1-0:1:2", 86462), ("an hour", None),
    ("5:", None), ("", None), ("-5", None), ("1:2:3:4", None)])
def test_times_are_slurms(text: str, value: int | None) -> None:
    assert seconds(text) == value


def test_a_signal_before_the_job_began_is_refused(bench: Bench) -> None:
    assert bench.submit("--site", "time=2", "--site", "signal_seconds=119", "--print").code == 0
    outcome = bench.submit("--site", "time=2", "--print")
    assert outcome.code == 2 and "120 s before the end of a time of 120 s leave nothing to work in" in outcome.err, outcome


def test_a_wrong_deck_never_waits_in_the_queue(bench: Bench) -> None:
    bench.site(program=PROGRAM)
    for words, said in ((["--set", "training.max_epoch=3"], "did you mean 'max_epochs'"),
                        (["--array", "2"], "has no [study]"),
                        (["--set", "numerics.threads=2"], "numerics.threads is 2 in the deck and threads_per_rank is 1")):
        outcome = bench.submit(*words)
        assert outcome.code == 2 and said in outcome.err, outcome
        assert outcome.err.startswith("dualscape: ") and outcome.err.count("dualscape: ") == 1, outcome
    assert not bench.calls("sbatch") and not (bench.folder / "out").exists()


def test_where_the_program_does_not_run_the_deck_is_not_checked_and_this_is_said(bench: Bench) -> None:
    bench.site(program="/nowhere/dualscape")
    outcome = bench.submit()
    assert outcome.code == 0 and "the deck is not checked" in outcome.err and len(bench.calls("sbatch")) == 1, outcome


def test_a_copy_of_the_deck_is_run_and_another_deck_is_refused(bench: Bench) -> None:
    assert bench.submit().code == 0
    (bench.folder / "out/status").write_text("interrupted: stopped by a signal\n")
    assert "job 123 submitted, which continues what is there" in bench.submit().out
    write_deck(bench.folder / "deck.toml", title=HARMFUL, training={"max_epochs": 31})
    outcome = bench.submit()
    assert outcome.code == 2 and "training.max_epochs was 30, now 31" in outcome.err, outcome
    assert len(bench.calls("sbatch")) == 2
    assert "max_epochs = 30" in (bench.folder / "out/slurm/deck.toml").read_text()


def test_a_submission_that_was_killed_is_found_in_the_queue(bench: Bench) -> None:
    bench.do("sbatch", "kill -KILL $PPID")
    assert bench.submit().code == -signal.SIGKILL
    record = json.loads((bench.folder / "out/slurm/submission.json").read_text())
    assert record["jobs"] == []
    (name,) = (word.split("=", 1)[1] for word in bench.calls("sbatch")[0] if word.startswith("--job-name="))
    bench.do("sbatch", "echo 124")
    bench.do("squeue", f"echo '123|123|{name}|PENDING|0:00|(Priority)'")
    outcome = bench.submit()
    assert outcome.out == "in the queue already: job 123 PENDING; nothing submitted\n", outcome
    assert len(bench.calls("sbatch")) == 1
    # The controller was killed and has forgotten the job.
    bench.do("squeue", "")
    assert "job 124 submitted" in bench.submit().out
    assert json.loads((bench.folder / "out/slurm/submission.json").read_text())["jobs"] == ["124"]


def test_an_array_shares_a_study_and_one_job_collects_it(bench: Bench) -> None:
    write_deck(bench.folder / "deck.toml", study={"repeats": 4, "axes": []})
    bench.site(collect={"time": "5", "partition": "serial"})
    # The submission is killed between its two jobs.
    bench.do("sbatch", "kill -KILL $PPID")
    bench.submit("--array", 3)
    (array,) = bench.calls("sbatch")
    assert "--array=1-3" in array
    (name,) = (word.split("=", 1)[1] for word in array if word.startswith("--job-name="))
    bench.do("sbatch", "echo 124")
    bench.do("squeue", f"echo '123|123_[1-3]|{name}|PENDING|0:00|(Priority)'")
    outcome = bench.submit("--array", 3)
    assert "nothing submitted but what was missing; job 124 collects" in outcome.out, outcome
    collect = bench.calls("sbatch")[1]
    for word in (f"--job-name={name}-collect", "--dependency=afterany:123", "--kill-on-invalid-dep=yes", "--time=5",
                 "--partition=serial"):
        assert word in collect
    # Both are in the queue now.
    bench.do("squeue", f"echo '123|123_1|{name}|RUNNING|0:01|n1'; echo '124|124|{name}-collect|PENDING|0:00|(Dependency)'")
    assert bench.submit("--array", 3).out == "in the queue already: job 123_1 RUNNING; nothing submitted\n"
    assert len(bench.calls("sbatch")) == 2
    out = str(bench.folder / "out")
    for script, environment, words in (
            ("job", {"SLURM_ARRAY_JOB_ID": "123", "SLURM_ARRAY_TASK_ID": "2"}, ["study", "--part", "2/3", f"{out}/slurm/deck.toml"]),
            ("collect", {}, ["collect", out])):
        done = bench.job(script, **environment)
        assert done.code == 0, done
        assert bench.calls("srun")[-1][bench.calls("srun")[-1].index("true") + 1:][:len(words)] == words


def test_ranks_must_do_for_a_run(bench: Bench) -> None:
    write_deck(bench.folder / "deck.toml", study={"ranks_per_run": 3, "axes": []})
    outcome = bench.submit()
    assert outcome.code == 2 and "study.ranks_per_run is 3, and the site file gives a job 2 ranks" in outcome.err, outcome


def test_the_example_is_a_site_file(bench: Bench) -> None:
    example = Path(__file__).resolve().parents[2] / "inputs/sites/example.toml"
    text = example.read_text()
    (bench.folder / "site.toml").write_text(text)
    assert bench.submit("--print", "--site", 'program="true"').code == 0
    # It shows every key there is.
    assert all(f"\n{key} = " in text or f"\n# {key} = " in text or f"\n[{key}]" in text for key in KEYS)


def test_a_scheduler_that_says_no(bench: Bench) -> None:
    bench.do("sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1")
    outcome = bench.submit()
    assert outcome.code == 4 and "invalid account" in outcome.err, outcome
    bench.do("squeue", "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1")
    outcome = bench.submit()
    assert outcome.code == 4 and "Unable to contact" in outcome.err and len(bench.calls("sbatch")) == 1, outcome


def test_status_of_a_run(bench: Bench) -> None:
    assert bench.submit().code == 0
    assert "0 done, 0 running, 0 failed, 0 interrupted, 1 waiting" in bench.status()
    out = bench.folder / "out"
    (out / "status").write_text("running\n")
    name = json.loads((out / "slurm/submission.json").read_text())["name"]
    bench.do("squeue", f"echo '123|123|{name}|RUNNING|0:31|n[1-2]'")
    assert "1 running" in bench.status() and "123  RUNNING  0:31  n[1-2]" in bench.status()
    bench.do("squeue", "")
    (out / "slurm/123.log").write_text("2026-01-01 00:00:00  job 123: not started again: all 20 tries are used.\n")
    said = bench.status()
    assert "1 interrupted" in said and "no job of it is running" in said and "all 20 tries are used" in said, said
    (out / "status").write_text("failed: only 3 of 8 eigenpairs converged\n")
    assert "out: only 3 of 8 eigenpairs converged" in bench.status()
    outcome = call("status", "data.h5", folder=bench.folder, environment=bench.environment)
    assert outcome.code == 2 and "is no folder of a run or study" in outcome.err, outcome


def test_an_older_python_is_told_what_to_do(tmp_path: Path) -> None:
    for name in ("tomllib", "tomli"):
        (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    outcome = call("submit", "a", "b", folder=tmp_path, environment={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert outcome.code == 1 and "need Python 3.11 or later, or the package tomli" in outcome.err, outcome
