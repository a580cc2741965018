"""One view over all stages of a run: a bar for each, with blocks done, failed and running, the rate, and the time that is left.

On a terminal all bars stand below each other from the beginning. Elsewhere, in a log, each appears when its stage begins.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from lsd_experiments.stages import Show

UNITS = {"find_segments": "threshold", "evaluate": "step"}


class ProgressView:
    """Bars for the stages ``names``; a context manager."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._width = max(map(len, names))
        self._bars: dict[str, Any] = {}
        self._stack = ExitStack()
        self._is_table = sys.stderr.isatty() and len(self._names) > 1

    def __enter__(self) -> Self:
        from tqdm.contrib.logging import logging_redirect_tqdm

        if self._is_table:
            for name in self._names:
                self._bar(name)
        self._stack.enter_context(logging_redirect_tqdm())
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self._bars.values():
            bar.close()
        self._stack.close()

    def of(self, name: str) -> Show:
        """What is to be told how far stage ``name`` is."""
        begun = False

        def show(state: dict[str, Any]) -> None:
            nonlocal begun
            if not state["total"]:  # not counted yet
                return
            bar = self._bar(name)
            if not begun:
                begun = True
                bar.reset(total=state["total"])
                bar.initial = bar.n = state["skipped"]  # the rate is that of this run
            bar.update(state["completed"] - bar.n)
            counts = {key: state[key] for key in ("failed", "running") if state.get(key)}
            bar.set_postfix(counts, refresh=False)
        return show

    def finished(self, name: str, report: str) -> None:
        """Stage ``name`` is done; prints ``report``."""
        from tqdm import tqdm

        bar = self._bars.get(name)
        if bar is not None and not self._is_table:
            self._bars.pop(name).close()
        elif bar is not None and not bar.total:
            bar.reset(total=1)
            bar.update(1)  # it was done before
        text = f"{name}: {report}" if len(report.splitlines()) == 1 else report
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _bar(self, name: str) -> Any:
        from tqdm import tqdm

        if name not in self._bars:
            position = self._names.index(name) if self._is_table else 0
            unit = UNITS.get(name, "block")
            self._bars[name] = tqdm(desc=name.ljust(self._width), unit=unit, position=position, dynamic_ncols=True, leave=True,
                                    total=0 if self._is_table else None)
        return self._bars[name]
