import { parseArgs } from "node:util";
import { median } from "../src/statistics.js";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { inChild } from "./in-child.js";
import { machineDescription } from "./machine.js";
import { peerVersion } from "./peer.js";
import type { JobMeasurement, RequestContender } from "./request-contenders.js";
import { neededTokens, type RequestWorkload, requestsOf } from "./request-workloads.js";
import { table } from "./statistics.js";

/**
 * Jobs of requests of many lengths through jauge and through others' own batching, in turn, each time in a process of its
 * own; against one sequence at a time; and against the time that the engine's measured speeds need for the same tokens.
 */
const { values } = parseArgs({
  options: {
    workloads: { type: "string", default: "mixed,scattered" },
    requests: { type: "string", default: "256" },
    /** Sequences of the others; each number is tried. */
    slots: { type: "string", default: "32" },
    /** Sequences of jauge: 0 is what its plan finds. */
    sequences: { type: "string", default: "0" },
    /** A llama-server to compare with, built elsewhere. */
    server: { type: "string" },
    only: { type: "string", default: "jauge,peer,server,server unified,one at a time,bound" },
    runs: { type: "string", default: "1" },
    shape: { type: "string", default: "1b" },
    threads: { type: "string", default: "2" },
  },
});

interface Contest {
  name: string;
  contender: RequestContender;
  slots: string;
  isUnified: boolean;
}

console.log(
  `${machineDescription(`node bench/run.mjs requests ${process.argv.slice(2).join(" ")}`.trim())}\n`,
);
await generatedModel(values.shape as ShapeName);
const contests = values.only.split(",").flatMap(contestsOf);

for (const workload of values.workloads.split(",") as RequestWorkload[]) {
  const measured = new Map<Contest, JobMeasurement[]>(contests.map((contest) => [contest, []]));
  for (let run = 0; run < Number(values.runs); run++)
    for (const contest of contests) {
      const found = await measure(contest, workload);
      measured.get(contest)!.push(found);
      console.error(`${workload}, run ${run + 1}: ${contest.name}, ${found.slots}: ${JSON.stringify(found)}`);
    }
  console.log(`${results(workload, measured)}\n`);
}

function contestsOf(name: string): Contest[] {
  const slots = values.slots.split(",");
  if (name === "jauge") return [{ name, contender: name, slots: values.sequences, isUnified: false }];
  if (name === "one at a time") return [{ name, contender: name, slots: "1", isUnified: false }];
  if (name === "bound") return [{ name, contender: name, slots: slots[0]!, isUnified: false }];
  if (name === "peer") {
    if (peerVersion() === undefined) {
      console.error("!!! node-llama-cpp is not installed in bench/: NO COMPARISON WITH THE PEER");
      return [];
    }
    return slots.map((count) => ({ name, contender: "peer", slots: count, isUnified: false }));
  }
  if (values.server === undefined) {
    console.error(`!!! ${name} is left out: --server says where a llama-server is`);
    return [];
  }
  return slots.map((count) => ({
    ...{ name, contender: "server", slots: count, isUnified: name.endsWith("unified") },
  }));
}

function measure(contest: Contest, workload: RequestWorkload): Promise<JobMeasurement> {
  return inChild("request-contenders.js", [
    ...["--contender", contest.contender, "--workload", workload, "--requests", values.requests],
    ...["--slots", contest.slots, "--shape", values.shape, "--threads", values.threads],
    ...(contest.isUnified ? ["--unified"] : []),
    ...(values.server === undefined ? [] : ["--server", values.server]),
  ]);
}

function results(workload: RequestWorkload, measured: Map<Contest, JobMeasurement[]>): string {
  const requests = requestsOf(workload, Number(values.requests));
  const needed = neededTokens(workload, requests);
  const entries = [...measured].filter(([, found]) => found.length > 0);
  const secondsOf = (found: JobMeasurement[]) => median(found.map(({ seconds }) => seconds));
  const own = entries.find(([{ name }]) => name === "jauge");
  const rows = entries
    .filter(([{ contender }]) => contender !== "bound")
    .map(([{ name }, found]) => {
      const seconds = secondsOf(found);
      if (found.some(({ generated }) => generated !== needed.answers))
        throw new Error(`${name} generated ${found[0]!.generated} tokens of ${needed.answers}`);
      return [
        ...[name, String(found[0]!.slots), seconds.toFixed(1), (requests.length / seconds).toFixed(3)],
        ...[(needed.answers / seconds).toFixed(1), own ? `${(seconds / secondsOf(own[1])).toFixed(2)}×` : ""],
      ];
    });
  const header = [workload, "sequences", "s", "requests/s", "tokens/s out", "time against jauge"];
  const lines = [
    `${workload}: ${requests.length} requests, ${needed.prompts} prompt tokens to compute, ${needed.answers} to generate`,
    "",
    table(header, rows),
  ];
  const speeds = entries.find(([{ contender }]) => contender === "bound")?.[1];
  if (speeds && own) {
    const prefill = median(speeds.map((one) => one.speeds!.prefill));
    const decode = median(speeds.map((one) => one.speeds!.decode));
    const seconds = needed.prompts / prefill + needed.answers / decode;
    lines.push(
      "",
      `bound: prompts at ${prefill.toFixed(1)} tokens/s, decode of ${speeds[0]!.slots} at ${decode.toFixed(1)}: ` +
        `${seconds.toFixed(1)} s; jauge reaches ${((100 * seconds) / secondsOf(own[1])).toFixed(0)} %`,
    );
  }
  return lines.join("\n");
}
