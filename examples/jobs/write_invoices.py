"""Write an invoice for each customer and month that has orders and no invoice yet."""

import csv

config = {
    "name": "billing/write-invoices",
    "schedule": "*/4 * * * * *",  # six fields: seconds first. In earnest: "30 2 1 * *"
    "numberOfExecutions": 2,
    "misfire": "once",
    "timeout": "30s",
    "params": {"until": "2025-02", "currency": "EUR"},  # jobrunner run ... -p until=2025-03
}

UNBILLED = """
SELECT customer, substr(date, 1, 7) AS month, sum(cents) FROM orders
WHERE month <= ? AND (customer, month) NOT IN (SELECT customer, month FROM invoices)
GROUP BY customer, month ORDER BY month, customer
"""
INSERT = "INSERT INTO invoices (customer, month, net, vat) VALUES (?, ?, ?, ?) RETURNING number"

TEXT = """\
{seller}

Invoice {number:04}, orders of {month}
{name}

Net    {net:>12.2f} {currency}
VAT    {vat:>12.2f} {currency}
Total  {total:>12.2f} {currency}
"""


def default(warehouse, data, output, settings, until, currency):
    """The invoice's row and its file come together: the row is committed when the file is in place."""
    with (data / "customers.csv").open(newline="", encoding="utf-8") as lines:
        names = {row["id"]: row["name"] for row in csv.DictReader(lines)}
    folder = output / "invoices"
    folder.mkdir(exist_ok=True)
    written = []
    for customer, month, net in warehouse.execute(UNBILLED, [until]).fetchall():
        vat = round(net * settings["vat"])
        with warehouse:
            [(number,)] = warehouse.execute(INSERT, [customer, month, net, vat]).fetchall()
            money = {"net": net / 100, "vat": vat / 100, "total": (net + vat) / 100, "currency": currency}
            text = TEXT.format(
                seller=settings["seller"], number=number, month=month, name=names[customer], **money
            )
            draft = folder / f"{number:04}.draft"
            draft.write_text(text, encoding="utf-8")
            draft.rename(folder / f"{number:04}.txt")
        written.append(number)
    return {"written": written}
