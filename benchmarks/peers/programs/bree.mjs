// Bree: each run is a worker thread of its own, with an engine of its own; nothing is kept.
// PROGRAM each-second|idle COUNT|burst COUNT WHEN|start COUNT
import { fileURLToPath } from "node:url";

import Bree from "bree";

const path = fileURLToPath(new URL("./bree_body.mjs", import.meta.url));
const [command, ...numbers] = process.argv.slice(2);
const [count, when] = numbers.map(Number);

function jobs() {
  if (command === "each-second") return [{ name: "tick", path, cron: "* * * * * *", hasSeconds: true }];
  const many = Array.from({ length: count }, (_, each) => each);
  if (command === "burst") {
    return many.map((each) => ({ name: `job-${each}`, path, date: new Date(when * 1000) }));
  }
  const hour = (new Date().getUTCHours() + 12) % 24;
  const found = many.map((each) => ({ name: `job-${each}`, path, cron: `${each % 60} ${hour} * * *` }));
  return command === "start" ? [...found, { name: "first", path, timeout: 0 }] : found;
}

// "each second" is for it a second after the last: begin with one
if (command === "each-second") await new Promise((resolve) => setTimeout(resolve, 1000 - (Date.now() % 1000)));
const bree = new Bree({ root: false, logger: false, timezone: "UTC", jobs: jobs() });
await bree.start();
