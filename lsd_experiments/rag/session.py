"""A connection to PostgreSQL that outlives the server: when it goes away, an operation waits for it and is done again."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from lsd_experiments.pauses import growing_pause
from lsd_experiments.rag.address import Address, hide
from lsd_experiments.rag.refusals import first_line, is_outage, is_starting, refusal

logger = logging.getLogger(__name__)

RETRY_VARIABLE = "LSD_DATABASE_RETRY"
RETRY = 120.0  # seconds that an operation waits for a server that went away, unless the variable says otherwise
PAUSES = (0.1, 5.0)  # seconds between two tries: the first, and the longest

# So that a machine that vanished is noticed; the URL may say otherwise.
CONNECTION = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3",
              "application_name": "lsd-experiments"}

# Tables that grew a moment ago have no statistics, and a planner without them sorts or hashes what its index has in order.
SETTINGS = ("enable_sort TO off", "enable_hashagg TO off", "jit TO off")

READ_ONLY = "default_transaction_read_only TO on"

ANSWERED: set[str] = set()  # the databases that this process has reached: they are there, and may be waited for

Result = TypeVar("Result")


class Session:
    """Transactions in the schema of ``address``, over one connection at a time.

    :param patient: wait for a server, too, that has not answered this process before
    :param retry: seconds to wait (default: LSD_DATABASE_RETRY in the environment, or 120)
    :param readonly: refuse to write
    """

    def __init__(self, address: Address, patient: bool = False, retry: float | None = None, readonly: bool = False) -> None:
        self._address = address
        self._settings = (f"search_path TO {address.schema}", *SETTINGS, *((READ_ONLY,) if readonly else ()))
        self._patient = patient or address.name in ANSWERED
        self._retry = float(os.environ.get(RETRY_VARIABLE, RETRY)) if retry is None else retry
        self._connection: Any = None

    def run(self, work: Callable[[Any], Result]) -> Result:
        """What ``work`` gives for a cursor, in one transaction, which is done again while the server is away.

        :raises UserError: if the server does not let us in, is away for too long, or the user can mend what it says
        """
        import psycopg2

        began, tries = None, 0
        while True:
            try:
                result = self._attempt(work)
            except psycopg2.Error as error:
                if not self._is_away(error):
                    raise self._refusal(error) from None
                self.close()
                now, tries = time.monotonic(), tries + 1
                pause = growing_pause(tries, *PAUSES)
                if began is None:
                    began = now
                    logger.warning("%s does not answer (%s); waiting for it", self._address.name,
                                   hide(first_line(error), self._address))
                if now - began + pause > self._retry:
                    raise self._refusal(error, self._retry) from None
                time.sleep(pause)
            else:
                if began is not None:
                    logger.info("%s answers again after %.0f s", self._address.name, time.monotonic() - began)
                self._patient = True
                ANSWERED.add(self._address.name)
                return result

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._connection is not None:
            with suppress(Exception):  # the server may be gone
                self._connection.close()
        self._connection = None

    def _attempt(self, work: Callable[[Any], Result]) -> Result:
        if self._connection is None:
            self._connection = self._connect()
        try:
            with self._connection.cursor() as cursor:
                result = work(cursor)
            self._connection.commit()
        except BaseException:
            with suppress(Exception):  # the server may be gone
                self._connection.rollback()
            raise
        return result

    def _connect(self) -> Any:
        import psycopg2

        password = {} if self._address.password is None else {"password": self._address.password}
        connection = psycopg2.connect(**{**CONNECTION, **self._address.parameters, **password})
        with connection.cursor() as cursor:
            for setting in self._settings:
                cursor.execute(f"SET {setting}")
        connection.commit()
        return connection

    def _refusal(self, error: Exception, waited: float | None = None) -> Exception:
        refused = refusal(self._address.name, error, waited)
        return refused if refused is error else type(refused)(hide(str(refused), self._address))

    def _is_away(self, error: Exception) -> bool:
        if self._connection is None:  # could not connect
            return self._patient or is_starting(error)
        return is_outage(error, self._connection)
