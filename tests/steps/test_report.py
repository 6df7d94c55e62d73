from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from mlp.steps.report import LARGEST, Report, StepTimes

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_a_report_is_one_json_object():
    report = Report("Completed", "Fetched", (StepTimes("clone", MOMENT, MOMENT),))
    assert json.loads(report.to_json()) == {
        "reason": "Completed",
        "message": "Fetched",
        "steps": [
            {
                "name": "clone",
                "state": "Succeeded",
                "startTime": "2026-01-02T03:04:05.678Z",
                "completionTime": "2026-01-02T03:04:05.678Z",
            }
        ],
    }


@pytest.mark.parametrize("character", ["x", "é", "\n", '"', "\x01", "🙂", "\udcff"])
@pytest.mark.parametrize("length", [0, 600, 3900, 4096, 100_000])
def test_a_report_fits_into_a_termination_message_and_stays_json(character, length):
    message = character * length
    text = Report("SourceNotFound", message, (StepTimes("clone", MOMENT, MOMENT),)).to_json()
    assert len(text.encode()) <= LARGEST
    read = json.loads(text)
    assert read["reason"] == "SourceNotFound"
    assert len(read["steps"]) == 1
    if len(read["message"]) < length:
        assert read["message"].endswith("…")
        assert len(text.encode()) > LARGEST - 20  # no more was cut than had to be
