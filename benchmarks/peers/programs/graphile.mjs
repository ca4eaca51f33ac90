// graphile-worker: tasks on one event loop; tuned as its page on performance says. Ended jobs are not kept.
import { appendFileSync, statSync } from "node:fs";
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const url = process.env.BENCH_URL;
const quiet = new Logger(() => () => {});
const [command, ...numbers] = process.argv.slice(2);
const given = numbers.map(Number);

const moment = (millis) => (millis / 1000).toFixed(6).padStart(17, "0");
const now = () => performance.timeOrigin + performance.now();
const size = () => {
  const found = statSync(process.env.BENCH_OUT, { throwIfNoEntry: false });
  return found ? found.size : 0;
};
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

async function noop(payload) {
  appendFileSync(process.env.BENCH_OUT, `${moment(now())} ${moment(payload.asked * 1000)}\n`);
}

async function work() {
  const tuned = {
    connectionString: url, concurrentJobs: 24, maxPoolSize: 10, pollInterval: 2000,
    localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
  };
  const plain = { connectionString: url, concurrentJobs: 10, maxPoolSize: 12, pollInterval: 1000 };
  const worker = command === "work-tuned" ? tuned : plain;
  const runner = await run({ preset: { worker }, taskList: { noop }, logger: quiet, noHandleSignals: true });
  await runner.promise;
}

async function trigger(utils, count, gap) {
  for (let each = 0; each < count; each++) {
    await pause(gap * 1000);
    const before = size();
    await utils.addJob("noop", { asked: now() / 1000 });
    for (const end = now() + 60000; size() <= before; await pause(1)) {
      if (now() > end) throw new Error("the call did not begin");
    }
  }
}

async function bulk(utils, count, batch, runAt) {
  const jobs = Array.from({ length: batch }, () => ({ identifier: "noop", payload: { asked: 0 }, runAt }));
  for (let each = 0; each < count / batch; each++) await utils.addJobs(jobs);
}

async function ask() {
  const utils = await makeWorkerUtils({ connectionString: url, logger: quiet });
  const commands = {
    setup: () => utils.migrate(),
    send: async () => {
      for (let each = 0; each < given[0]; each++) await utils.addJob("noop", { asked: 0 });
    },
    bulk: () => bulk(utils, given[0], given[1]),
    later: () => bulk(utils, given[0], given[0], new Date(given[1] * 1000)),
    trigger: () => trigger(utils, ...given),
  };
  const began = performance.now();
  await commands[command]();
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }));
  await utils.release();
}

await (command.startsWith("work") ? work() : ask());
