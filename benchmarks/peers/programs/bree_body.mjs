// What a worker thread of Bree runs.
import { appendFileSync } from "node:fs";

const now = performance.timeOrigin + performance.now();
appendFileSync(process.env.BENCH_OUT, `${(now / 1000).toFixed(6).padStart(17, "0")} 0000000000.000000\n`);
