"""Gives a stick a past: plants what an earlier window would have kept."""

import json
import subprocess
from datetime import datetime, timedelta, timezone

from cellar import HELPER


def wall():
    """The time on the wall."""
    return datetime.now().replace(tzinfo=timezone.utc, microsecond=0)


def status(stick):
    done = subprocess.run([HELPER, "status", stick, "--json"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)


def file(home):
    return home / "data/sugar-cellar/history.json"


def name(stick):
    """What it is called there."""
    now = status(stick)
    return f"{now['overlay']['file'].rsplit('/', 1)[-1]}@{now['image']['inner_bytes']}"


def write(home, histories):
    file(home).parent.mkdir(parents=True, exist_ok=True)
    file(home).write_text(json.dumps(histories))


def plant(home, stick, percents, marks=()):
    """One look a day, the last one yesterday at one o'clock: how full it was. At the places `marks` it had
    been refreshed."""
    total = status(stick)["overlay"]["total_sectors"]
    noon = wall().replace(hour=13, minute=0, second=0)
    times = [int((noon - timedelta(days=back)).timestamp()) for back in range(len(percents), 0, -1)]
    points = {time: int(total * percent / 100) for time, percent in zip(times, percents)}
    write(home, {name(stick): {
        "points": points,
        "totals": {times[0]: total},
        "marks": {times[place]: "refresh" for place in marks},
        "refreshed": times[marks[-1]] if marks else None,
    }})
