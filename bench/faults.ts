import { parseArgs } from "node:util";
import { campaign, type Fault, faults } from "./fault-campaign.js";
import { machineDescription } from "./machine.js";
import { embeddedModel, fromRoot } from "./paths.js";
import { canMount } from "./small-disk.js";
import { table } from "./statistics.js";

/**
 * The fault campaign of batch jobs: the job or its engine killed, interrupted, its last lines torn, its disk full, at random
 * points. After resuming, each `custom_id` exactly once, each result that of the undisturbed run, or one that parts from
 * it at a near tie. Ends with status 1 where a run is not so.
 */
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "200" },
    requests: { type: "string", default: "40" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const command = `node bench/run.mjs faults ${process.argv.slice(2).join(" ")}`.trim();
console.log(`${machineDescription(command)}\n`);

const possible = faults.filter((fault) => fault !== "disk-full" || canMount());
if (possible.length < faults.length)
  console.log("disk-full left out: this user may not mount a small disk\n");
const kinds = values.only ? possible.filter((fault) => fault === (values.only as Fault)) : possible;

let runs = 0;
const reports = await campaign({
  command: fromRoot("dist", "cli", "main.js"),
  model: embeddedModel,
  runs: Number(values.runs),
  requests: Number(values.requests),
  seed: Number(values.seed),
  kinds,
  onRun: ({ fault, starts, finishedBefore, problems }) => {
    runs++;
    if (problems.length > 0) console.log(`run ${runs}, ${fault}:\n  ${problems.join("\n  ")}`);
    else if (process.stderr.isTTY)
      process.stderr.write(`\r${runs} ${fault} ${starts} starts, ${finishedBefore} kept   `);
  },
});

const rows = kinds.map((kind) => {
  const some = reports.filter(({ fault }) => fault === kind);
  const leaves = some.flatMap(({ leaveMs }) => (leaveMs === undefined ? [] : [leaveMs]));
  return [
    kind,
    String(some.length),
    String(some.reduce((sum, { starts }) => sum + starts, 0)),
    String(some.filter(({ problems }) => problems.length > 0).length),
    nearTiesOf(some),
    leaves.length > 0 ? `${Math.max(...leaves).toFixed(0)} ms at most` : "",
  ];
});
console.log(table(["fault", "runs", "starts", "wrong", "near ties", "left after a signal"], rows));
const wrong = reports.filter(({ problems }) => problems.length > 0).length;
console.log(`\n${reports.length} runs, ${wrong} wrong (target: 0)`);
if (wrong > 0) process.exitCode = 1;

function nearTiesOf(some: typeof reports): string {
  const leads = some.flatMap(({ nearTies }) => nearTies);
  return leads.length > 0 ? `${leads.length}, of ${Math.max(...leads).toFixed(4)} nats at most` : "0";
}
