import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Each test file starts engine hosts that use every core: one at a time keeps them honest.
    fileParallelism: false,
    pool: "forks",
    reporters: ["default"],
    // What the doctor measured on this machine is nothing for tests to depend on, nor for them to overwrite.
    env: { JAUGE_CACHE_DIR: join(tmpdir(), `jauge-tests-${process.pid}`) },
  },
});
