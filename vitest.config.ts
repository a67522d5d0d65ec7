import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Files that compute next to nothing with an engine: what they need of native code is short, or a dry run. */
const light = [
  ...["convert", "docs", "gguf", "hardware", "messages", "plan", "quantize"].map(
    (name) => `test/${name}/**/*.test.ts`,
  ),
  ...["grammar", "prompts"].map((name) => `test/executor/${name}/**/*.test.ts`),
  "test/planner/sources/*.test.ts",
  "test/planner/examples.test.ts",
  ...["json", "units"].map((name) => `test/${name}.test.ts`),
];

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    reporters: ["default"],
    // What the doctor measured on this machine is nothing for tests to depend on, nor for them to overwrite.
    env: { JAUGE_CACHE_DIR: join(tmpdir(), `jauge-tests-${process.pid}`) },
    projects: [
      {
        extends: true,
        test: { name: "light", include: light, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: "engine",
          include: ["test/**/*.test.ts"],
          exclude: light,
          // Each starts engine hosts that use every core: one at a time keeps them honest.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
