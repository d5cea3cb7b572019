"""The record of job runs."""

from tests.indexer.projection import Database
from zmart_lite.store.state import runs


def test_a_run_is_recorded_from_its_start_to_its_end() -> None:
    database = Database()
    run = database.write(lambda tx: runs.add_run(tx, "poll"))
    assert runs.summarize(database.tx, "poll").last["finished_ms"] is None  # type: ignore[index]
    database.write(lambda tx: runs.end_run(tx, run, "failed", 5, 3, 1, 1, error="e" * 999))
    last, count, failures = runs.summarize(database.tx, "poll")
    assert last is not None
    assert (last["found"], last["done"], last["failed"], last["skipped"]) == (5, 3, 1, 1)
    assert len(last["error"]) == runs.ERROR_CHARACTERS_MAX
    assert (count, failures) == (1, 1)


def test_jobs_do_not_mix() -> None:
    database = Database()
    for job, result in (("poll", "ok"), ("poll", "failed"), ("monitor", "ok")):
        run = database.write(lambda tx, job=job: runs.add_run(tx, job))
        database.write(lambda tx, run=run, result=result: runs.end_run(tx, run, result, 0, 0, 0, 0, error=None))
    assert runs.summarize(database.tx, "poll")[1:] == (2, 1)
    assert runs.summarize(database.tx, "monitor")[1:] == (1, 0)
    assert runs.summarize(database.tx, "nothing") == (None, 0, 0)


def test_a_start_closes_what_a_crash_left_open_and_knows_what_went_before() -> None:
    database = Database()
    good = database.write(lambda tx: runs.add_run(tx, "poll"))
    started = database.now_ms
    database.write(lambda tx: runs.end_run(tx, good, "ok", 0, 0, 0, 0, error=None))
    database.write(lambda tx: runs.add_run(tx, "poll"))
    for paused in (True, False, True):
        database.write(lambda tx, paused=paused: runs.set_paused(tx, "monitor", paused))
    database.write(lambda tx: runs.set_paused(tx, "poll", False))
    state = database.write(runs.take_over)
    assert state == runs.JobsState({"monitor"}, {"poll": started})
    last = runs.summarize(database.tx, "poll").last
    assert last is not None
    assert (last["result"], last["finished_ms"]) == ("interrupted", database.now_ms)
