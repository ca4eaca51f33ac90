"""Ship an order in five steps. A retry repeats none that is done; when all is in vain they are taken back."""

from jobrunner.workflow import step

config = {
    "name": "ship-order",
    "schedule": None,
    "retries": {"max": 1, "delay": "100ms"},
    "params": {"order": 1017, "stamps": 3},  # jobrunner run ship-order -p stamps=0, then jobrunner show RUN
}


def reserve(folder, order):
    """Set the goods aside."""
    return write(folder, f"{order}-reserved.txt", "2 kg of beans")


def charge(folder, order, key):
    """Take the money; by the key the bank would know a payment that it has had already."""
    return write(folder, f"{order}-paid.txt", f"23.80 EUR, {key}")


def label(folder, order, stamps):
    """Print the label."""
    if not stamps:
        raise LookupError("no stamps are left")
    return write(folder, f"{order}-label.txt", f"parcel of order {order}")


def tell(folder, order, whom):
    """Write to somebody."""
    return write(folder, f"{order}-to-{whom}.txt", f"order {order} is on its way")


def write(folder, name, text):
    """Return the name: what a step returns is kept, and is what its undo gets."""
    (folder / name).write_text(f"{text}\n", encoding="utf-8")
    return name


def remove(name, output):
    """Take a step back, in another process: `name` is what it returned, the rest is injected as always."""
    (output / "shipping" / name).unlink(missing_ok=True)


def default(ctx, output, order, stamps):
    """Plain Python: what is no step is done again by each attempt."""
    folder = output / "shipping"
    folder.mkdir(exist_ok=True)
    ctx.step("reserve", reserve, folder, order, undo=remove)
    ctx.step("charge", charge, folder, order, ctx.idempotency_key, undo=remove)
    parcel = ctx.step("label", label, folder, order, stamps, retries=1, timeout="10s", undo=remove)
    told = ctx.parallel(*[step(f"tell {whom}", tell, folder, order, whom) for whom in ("customer", "store")])
    return {"parcel": parcel, "told": told}
