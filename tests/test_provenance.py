"""What outputs say of their origin."""

import datetime
import json

from lsd_experiments.provenance import now, provenance

OLD = "2024-05-06T07:08:09+00:00"  # as former outputs have it


def test_dates_tell_outputs_of_one_second_apart(monkeypatch):
    first = datetime.datetime(2024, 5, 6, 7, 8, 9, 0, datetime.UTC)
    dates = iter([first, first + datetime.timedelta(microseconds=1)])

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return next(dates)

    monkeypatch.setattr(datetime, "datetime", Clock)
    assert provenance("s", {}, {})["date"] == "2024-05-06T07:08:09.000000+00:00"
    assert now() == "2024-05-06T07:08:09.000001+00:00"


def test_dates_sort_among_those_to_the_second():
    """The viewer takes the text that is the last in order for the newest."""
    assert OLD < "2024-05-06T07:08:09.000001+00:00" < "2024-05-06T07:08:10+00:00" < now()
    assert datetime.datetime.fromisoformat(now()).tzinfo == datetime.UTC


def test_it_is_json():
    made = provenance("predict", {"input_shape": (15, 28, 26)}, {"raw": "raw.zarr:volumes/raw"})
    assert json.loads(json.dumps(made))["parameters"] == {"input_shape": [15, 28, 26]}
    assert made["software"] == "lsd-experiments"
    assert {"python", "numpy"} <= made["versions"].keys()
