"""Back the warehouse up, and check the copy before it replaces the one before."""

import sqlite3
from contextlib import closing

config = {
    "name": "backup-warehouse",
    "schedule": None,  # only on demand: jobrunner run backup-warehouse
}


def default(warehouse, output, logger):
    """SQLite's own backup takes a whole copy, also while others write."""
    draft = output / "backup.draft"
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as copy:
        warehouse.backup(copy)
        [(verdict,)] = copy.execute("PRAGMA integrity_check").fetchall()
        [(orders,)] = copy.execute("SELECT count(*) FROM orders").fetchall()
    if verdict != "ok":
        raise RuntimeError(f"the copy is damaged: {verdict}")
    draft.replace(output / "backup.db")
    logger.info("%d orders are safe", orders)
    return {"orders": orders, "bytes": (output / "backup.db").stat().st_size}
