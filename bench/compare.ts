import { parseArgs } from "node:util";
import { median } from "../src/statistics.js";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { inChild } from "./in-child.js";
import { machineDescription } from "./machine.js";
import type { Measurement } from "./measurement.js";
import { peerVersion } from "./peer.js";
import { table } from "./statistics.js";
import type { WorkloadName } from "./workloads.js";

const contenderNames = ["jauge", "bare", "peer"] as const;
type Contender = (typeof contenderNames)[number];

/** What jauge has to reach, as speed against another contender. */
export interface Target {
  test: string;
  against: Contender;
  ratio: number;
}

/**
 * Runs the contenders in turn on workloads, several times over, each time in a process of its own, and prints
 * medians, ranges and ratios. Options come from the command line: `--runs`, `--shape`, `--threads`, `--only`.
 */
export async function compare(bench: string, workloads: WorkloadName[], targets: Target[]): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      shape: { type: "string", default: "1b" },
      threads: { type: "string", default: "2" },
      only: { type: "string", default: contenderNames.join(",") },
    },
  });
  const command = `node bench/run.mjs ${bench} ${process.argv.slice(2).join(" ")}`.trim();
  console.log(`${machineDescription(command)}\n`);
  await generatedModel(values.shape as ShapeName);
  const contenders = present(values.only.split(",") as Contender[]);
  const measured = new Map<Contender, Measurement[]>(contenders.map((contender) => [contender, []]));

  for (let run = 0; run < Number(values.runs); run++) {
    for (const workload of workloads) {
      // Each run starts with another contender, so that none always has the machine as the same one left it.
      for (const contender of [...contenders.slice(run % contenders.length), ...contenders].slice(
        0,
        contenders.length,
      )) {
        const found = await measure(contender, workload, values.shape, values.threads);
        measured.get(contender)!.push(...found);
        for (const { test, seconds } of found)
          console.error(`run ${run + 1}: ${contender} ${test} ${seconds.toFixed(2)} s`);
      }
    }
  }
  console.log(results(measured, targets));
}

function present(wanted: Contender[]): Contender[] {
  const contenders = contenderNames.filter((contender) => wanted.includes(contender));
  if (!contenders.includes("peer") || peerVersion() !== undefined) return contenders;
  console.error(
    "!!! node-llama-cpp is not installed in bench/: NO COMPARISON WITH THE PEER (npm ci in bench/)",
  );
  return contenders.filter((contender) => contender !== "peer");
}

/** One contender, one workload, in a fresh process. */
function measure(
  contender: Contender,
  workload: WorkloadName,
  shape: string,
  threads: string,
): Promise<Measurement[]> {
  return inChild(`${contender}.js`, [workload, "--shape", shape, "--threads", threads]);
}

function results(measured: Map<Contender, Measurement[]>, targets: Target[]): string {
  const tests = [...new Set([...measured.values()].flat().map(({ test }) => test))];
  const rows = tests.flatMap((test) =>
    [...measured.keys()].map((contender) => {
      const found = measured.get(contender)!.filter((measurement) => measurement.test === test);
      const seconds = found.map((measurement) => measurement.seconds);
      const middle = median(seconds);
      return [
        test,
        contender,
        middle.toFixed(3),
        `${Math.min(...seconds).toFixed(3)}–${Math.max(...seconds).toFixed(3)}`,
        (found[0]!.tokens / middle).toFixed(1),
        sameTokens(found, measured.get("bare") ?? [], test),
      ];
    }),
  );
  const header = ["test", "contender", "median s", "range s", "tokens/s", "requests with the tokens of bare"];
  return `${table(header, rows)}\n\n${ratios(measured, targets)}`;
}

/** Tokens may differ where batches of other shapes round differently and two logits are nearly equal. */
function sameTokens(found: Measurement[], reference: Measurement[], test: string): string {
  const expected = reference.find((measurement) => measurement.test === test)?.generated;
  if (!expected) return "";
  const { generated } = found[0]!;
  const same = generated.filter((tokens, request) => tokens.join() === expected[request]!.join()).length;
  return `${same} of ${expected.length}`;
}

function ratios(measured: Map<Contender, Measurement[]>, targets: Target[]): string {
  const middle = (contender: Contender, test: string): number =>
    median((measured.get(contender) ?? []).filter((one) => one.test === test).map((one) => one.seconds));
  const rows = targets
    .filter(({ against }) => measured.has(against) && measured.has("jauge"))
    .map(({ test, against, ratio }) => {
      const found = middle(against, test) / middle("jauge", test);
      return [
        test,
        `jauge : ${against}`,
        found.toFixed(3),
        ratio.toFixed(2),
        found >= ratio ? "reached" : "missed",
      ];
    });
  return table(["test", "speed", "ratio", "target", ""], rows);
}
