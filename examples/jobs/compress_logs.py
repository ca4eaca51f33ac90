"""Compress each log file that is new or has grown, and prove that it can be read again."""

import gzip

config = {
    "name": "compress-logs",
    "schedule": "* * * * * *",  # every second; in earnest: "@daily"
    "numberOfExecutions": 1,
}


def default(data, output, ctx, logger):
    """Write beside the target and rename: whoever reads a .gz file sees a whole one."""
    folder = output / "logs"
    folder.mkdir(exist_ok=True)
    logs = sorted((data / "logs").glob("*.log"))
    done = []
    for number, log in enumerate(logs, 1):
        target = folder / f"{log.name}.gz"
        text = log.read_bytes()
        if not target.exists() or gzip.decompress(target.read_bytes()) != text:
            draft = target.with_suffix(".draft")
            draft.write_bytes(gzip.compress(text, mtime=0))
            if gzip.decompress(draft.read_bytes()) != text:
                raise OSError(f"{draft} is not what was written")
            draft.rename(target)
            done.append(log.name)
            logger.info("%s: %d bytes are now %d", log.name, len(text), target.stat().st_size)
        ctx.progress(number, len(logs), log.name)
    return {"compressed": done}
