"""Who is told of what the jobs did. Each of these is called in a process of its own, after the commit."""


def on_finish(run, output):
    """Keep a journal. To page somebody there is on_failure, which also gets the `error`."""
    with (output / "journal.txt").open("a", encoding="utf-8") as journal:
        journal.write(f"{run.finishedAt} {run.job} {run.state}\n")
