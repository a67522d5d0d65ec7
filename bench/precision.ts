import { appendFileSync, rmSync } from "node:fs";
import { parseArgs } from "node:util";
import type { ModelSource } from "../src/plan/source.js";
import { openSource } from "../src/planner/sources/open.js";
import { median } from "../src/statistics.js";
import { machineDescription } from "./machine.js";
import { fromRoot } from "./paths.js";
import { hollowModel, precisionModels } from "./planner-models.js";
import { randomCase } from "./precision-case.js";
import { type Outcome, tried } from "./precision-run.js";
import { table } from "./statistics.js";
import { syntheticFacts } from "./synthetic-facts.js";

const { values } = parseArgs({
  options: {
    budgets: { type: "string", default: "500" },
    seed: { type: "string", default: "1" },
    /** One case again, by the index in the file of failures. */
    only: { type: "string" },
    models: { type: "string" },
    /** Computes a small batch in every N-th case, and looks whether buffers grow. */
    compute: { type: "string", default: "0" },
    failures: { type: "string", default: fromRoot("bench", "models", "precision-failures.jsonl") },
  },
});
// Mesa's llvmpipe, wherever there are other devices beside it.
process.env.GGML_VK_VISIBLE_DEVICES ??= "0";

const names = Object.keys(precisionModels).filter(
  (name) => !values.models || new RegExp(values.models).test(name),
);
const seed = Number(values.seed);
const facts = {
  vulkan: await syntheticFacts({ backend: "vulkan" }),
  cpu: await syntheticFacts({ backend: "cpu" }),
};
const sources = new Map<string, ModelSource>();
for (const name of names) sources.set(name, await openSource(await hollowModel(name)));

const outcomes: Outcome[] = [];
rmSync(values.failures, { force: true });
const indices = values.only
  ? values.only.split(",").map(Number)
  : Array.from({ length: Number(values.budgets) }, (_, index) => index);
for (const index of indices) {
  const model = names[index % names.length]!;
  const source = sources.get(model)!;
  const outcome = await tried(model, source, randomCase(seed, index, source), facts, computes(index));
  outcomes.push(outcome);
  const isBad =
    outcome.error || outcome.grown?.length || outcome.over.length > 0 || outcome.unequal.length > 0;
  if (isBad || outcome.filling?.fitting || values.only)
    appendFileSync(values.failures, `${JSON.stringify({ seed, ...outcome })}\n`);
  if (process.stderr.isTTY || outcomes.length % 25 === 0)
    process.stderr.write(`bench: ${outcomes.length} of ${indices.length}: ${summary(outcome)}\n`);
}
print();

function computes(index: number): boolean {
  const every = Number(values.compute);
  return every > 0 && index % every === 0;
}

function summary({ model, planMs, dryRuns, fits, filling, error }: Outcome): string {
  const share = filling ? `, ${(100 * filling.share).toFixed(2)} % used` : "";
  return (
    error ??
    `${model}: ${fits ? "fits" : "does not fit"}${share}, ${planMs.toFixed(0)} ms, ${dryRuns} dry runs`
  );
}

function print(): void {
  const command = `node bench/run.mjs precision --budgets ${outcomes.length} --seed ${seed}`;
  const header = [
    ...["model", "weights MB", "budgets", "refused", "errors", "over budget", "unequal", "grown", "whole"],
    ...[
      "% used: median",
      "least",
      "below 99 %",
      "of these one fits",
      "and draws no cache",
      "plan ms: median",
      "most",
    ],
    ...["dry runs: median", "most"],
  ];
  const rows = [...names, "all"].map((name) =>
    row(
      name,
      outcomes.filter(({ model }) => model === name || name === "all"),
    ),
  );
  console.log(`${machineDescription(command)}\n\n${table(header, rows)}`);
}

function grownCount(all: Outcome[]): string {
  const computed = all.filter(({ grown }) => grown);
  return computed.length === 0
    ? ""
    : `${computed.filter(({ grown }) => grown!.length > 0).length} of ${computed.length}`;
}

function row(name: string, all: Outcome[]): string[] {
  const errors = all.filter(({ error }) => error);
  const planned = all.filter(({ error }) => !error);
  const partial = planned.filter(({ filling }) => filling && !filling.isWhole);
  const shares = partial.filter(({ filling }) => filling!.share > 0).map(({ filling }) => filling!.share);
  const below = partial.filter(({ filling }) => filling!.share < 0.99);
  const bytes = sources.get(name)?.outline.bytes.total;
  const number = (values: number[], of: (values: number[]) => number, digits = 0) =>
    values.length === 0 ? "" : of(values).toFixed(digits);
  const most = (values: number[]) => Math.max(...values);
  const least = (values: number[]) => Math.min(...values);
  const percents = shares.map((share) => 100 * share);
  const times = planned.map(({ planMs }) => planMs);
  const runs = planned.map(({ dryRuns }) => dryRuns);
  return [
    ...[name, bytes === undefined ? "" : (bytes / 1e6).toFixed(0), String(all.length)],
    String(planned.filter(({ fits }) => !fits).length),
    String(errors.length),
    String(planned.filter(({ over }) => over.length > 0).length),
    String(planned.filter(({ unequal }) => unequal.length > 0).length),
    grownCount(planned),
    String(planned.filter(({ filling }) => filling?.isWhole).length),
    ...[number(percents, median, 2), number(percents, least, 2), String(below.length)],
    String(below.filter(({ filling }) => filling!.fitting).length),
    String(below.filter(({ filling }) => filling!.fittingFreely).length),
    ...[number(times, median), number(times, most), number(runs, median), number(runs, most)],
  ];
}
