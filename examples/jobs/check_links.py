"""Follow every link of our web site, all pages of a round at once, and name the broken ones."""

import asyncio
import json
import re
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import urlopen

config = {
    "name": "check-links",
    "schedule": "every 3s",
    "numberOfExecutions": 2,
    "timeout": "20s",
}


async def default(site, output, logger):
    """Start at the first page, until a round of pages brings no new link."""
    found, waiting = {}, {f"{site}/index.html"}
    while waiting:
        pages = await asyncio.gather(*(asyncio.to_thread(_fetch, url) for url in waiting))
        found |= {url: status for url, status, _ in pages}
        links = {urljoin(url, link) for url, _, text in pages for link in re.findall(r'href="([^"]+)"', text)}
        waiting = {link for link in links if link.startswith(site)} - found.keys()
    broken = sorted(url.removeprefix(site) for url, status in found.items() if status != 200)
    for page in broken:
        logger.warning("%s is broken", page)
    report = {"checked": len(found), "broken": broken}
    (output / "links.json").write_text(json.dumps(report), encoding="utf-8")
    return report


def _fetch(url):
    try:
        with urlopen(url, timeout=5) as answer:
            return url, answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return url, error.code, ""
