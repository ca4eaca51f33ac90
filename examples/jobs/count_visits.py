"""Count the requests that were added to our web server's log since the last time, by day and status."""

import csv
from collections import Counter

config = {
    "name": "count-visits",
    "schedule": "every 2s",
    "numberOfExecutions": 3,
    "params": {"most": 60},  # lines in one run: a long log is caught up on bit by bit
}


def default(data, output, ctx, logger, most):
    """Begin at the byte where the last run stopped: a run that fails leaves that where it was."""
    start = ctx.cursor or 0
    with (data / "logs" / "web.log").open("rb") as log:
        log.seek(start)
        lines = [line for line in (log.readline() for _ in range(most)) if line.endswith(b"\n")]
    counts = Counter()
    for line in lines:
        moment, _, _, _, status, _ = line.decode().split()
        counts[moment[:10], status] += 1
    with (output / "visits.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows((day, status, number) for (day, status), number in sorted(counts.items()))
    ctx.cursor = start + sum(map(len, lines))
    logger.info("bytes %d to %d: %d requests", start, ctx.cursor, len(lines))
    return {"requests": len(lines)}
