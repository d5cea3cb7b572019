"""``python -m bench [names]``: runs the named measurements, or all, and prints tables; exit code 1 if one misses."""

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Iterator

import bench
from bench import Measurement, number_text

HEADINGS = ("what", "value", "promised", "note")


def main(names: list[str]) -> int:
    known = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    if unknown := sorted(set(names) - set(known)):
        print(f"no measurement called {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {platform.system()}\n")
    kept = True
    for name in names or known:
        measurements: list[Measurement] = importlib.import_module(f"bench.{name}").run()
        print(name, *_table(measurements), "", sep="\n", flush=True)
        kept = kept and all(measurement.kept for measurement in measurements)
    return 0 if kept else 1


def _table(measurements: list[Measurement]) -> Iterator[str]:
    rows = [HEADINGS, *(_row(measurement) for measurement in measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for what, value, promised, note in rows:
        yield f"  {what:<{widths[0]}}  {value:>{widths[1]}}  {promised:>{widths[2]}}  {note}".rstrip()


def _row(measurement: Measurement) -> tuple[str, str, str, str]:
    value = f"{number_text(measurement.value)} {measurement.unit}"
    return measurement.name, value, measurement.promised, measurement.note


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
