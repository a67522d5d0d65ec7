import { join } from "node:path";
import { expect, it } from "vitest";
import { campaign, type Fault } from "../../bench/fault-campaign.js";
import { canMount } from "../../bench/small-disk.js";
import { root, stories } from "../cli/harness.js";

// A few runs of bench/faults.ts, which does hundreds. A disk to fill needs the right to mount one.
const kinds: Fault[] = [
  "kill-job",
  "kill-host",
  "torn-lines",
  "interrupt",
  ...(canMount() ? ["disk-full" as const] : []),
];

it.runIf(process.platform === "linux")(
  "loses, repeats and changes no result, whatever ends the job",
  async () => {
    const reports = await campaign({
      ...{ command: join(root, "dist", "cli", "main.js"), model: stories, runs: kinds.length, seed: 7 },
      ...{ kinds, requests: 14 },
    });
    expect(
      reports.flatMap(({ fault, problems }) => problems.map((problem) => `${fault}: ${problem}`)),
    ).toEqual([]);
    expect(reports.length).toBe(kinds.length);
    // At least some were really disturbed.
    expect(Math.max(...reports.map(({ starts }) => starts))).toBeGreaterThan(1);
  },
);
