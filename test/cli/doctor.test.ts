import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { readRecord } from "../../src/planner/calibration-cache.js";
import { ended, jauge, root, stories, temporaryFolder } from "./harness.js";

const main = join(root, "dist", "cli", "main.js");

vi.setConfig({ testTimeout: 120_000 });

describe("jauge doctor", () => {
  const folder = temporaryFolder();
  const env = { JAUGE_CACHE_DIR: folder };
  // The embedded model is all F32: one type, quickly measured.
  const given = ["doctor", "--model", stories, "-t", "1"];

  it("measures, prints a table and keeps the figures", () => {
    const { status, stdout, stderr } = jauge(given, { env });
    expect(stderr).toContain("measuring processor");
    expect(stdout).toMatch(/^Processor: .* × 1$/m);
    expect(stdout).toMatch(/^ {2}reads memory at +[\d.]+ [GM]B\/s$/m);
    expect(stdout).toMatch(/^ {2}F32 +[\d.]+ /m);
    expect(stdout).not.toContain("Q4_K");
    expect(status).toBe(0);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it("prints what is known as JSON, without measuring, and it is what the file holds", async () => {
    const { status, stdout, stderr } = jauge([...given, "--json"], { env });
    expect(status).toBe(0);
    expect(stderr).toBe("");
    const printed = JSON.parse(stdout);
    expect(Object.keys(printed.calibration.host.matrix)).toEqual(["F32"]);
    const { key } = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), "utf8"));
    vi.stubEnv("JAUGE_CACHE_DIR", folder);
    expect(await readRecord(key)).toEqual(printed);
    vi.unstubAllEnvs();
    expect(key.threads).toBe(1);
  });

  it("says that nothing was measured again", () => {
    expect(jauge(given, { env }).stderr).toMatch(/measured \d{4}-\d\d-\d\d; --force measures again/);
  });

  it("measures again over a damaged file", () => {
    const [name] = readdirSync(folder);
    writeFileSync(join(folder, name!), "{ damaged");
    const { status, stderr } = jauge(given, { env });
    expect(status).toBe(0);
    expect(stderr).toContain("measuring processor");
  });

  it("speaks French, and explains itself", () => {
    const french = jauge(given, { env: { ...env, LC_ALL: "fr_FR.UTF-8" } });
    expect(french.stdout).toMatch(/^Processeur: /m);
    const help = jauge(["doctor", "--help"], { env });
    expect(help.stdout).toContain("--force");
    expect(help.stdout).toContain("jauge doctor --json | jq");
  });

  it("refuses a model that is not there, and a wrong number of threads", () => {
    expect(jauge(["doctor", "--model", join(folder, "none.gguf")], { env }).status).toBe(3);
    expect(jauge(["doctor", "-t", "many"], { env }).status).toBe(2);
  });

  it("stops at an interruption, and keeps nothing", async () => {
    const empty = temporaryFolder();
    const child = spawn(process.execPath, [main, "doctor", "-t", "1", "--backend", "cpu"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, LC_ALL: "C", JAUGE_CACHE_DIR: empty },
    });
    child.stderr.once("data", () => child.kill("SIGINT"));
    expect(await ended(child)).toBe(130);
    expect(readdirSync(empty)).toEqual([]);
  });
});
