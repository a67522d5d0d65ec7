import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { isJaugeError, JaugeError } from "../src/errors.js";
import { FileLock, type LockErrors } from "../src/file-lock.js";
import { root, temporaryFolder } from "./cli/harness.js";

const errors: LockErrors = {
  held: (path, owner, lock) => new JaugeError("conversion-locked", { path, owner, lock }),
  failed: (path, cause) => new JaugeError("file-unwritable", { path, reason: String(cause) }, { cause }),
};

async function isRefused(target: string): Promise<boolean> {
  const lock = await FileLock.acquire(target, errors).catch((error: unknown) => error);
  if (lock instanceof FileLock) await lock.release();
  return isJaugeError(lock, "conversion-locked");
}

it("is held until it is released, and leaves nothing", async () => {
  const folder = temporaryFolder();
  const target = join(folder, "out.jsonl");
  const lock = await FileLock.acquire(target, errors);
  expect(await isRefused(target)).toBe(true);
  expect(await isRefused(join(folder, "other.jsonl"))).toBe(false);
  await lock.release();
  expect(await isRefused(target)).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});

const program = (target: string, then: string) => `
  import { FileLock } from ${JSON.stringify(`${root}dist/file-lock.js`)};
  try { await FileLock.acquire(${JSON.stringify(target)}, {}); console.log("held"); ${then} }
  catch (error) { console.log(error.code); }`;
const node = (text: string) => [process.execPath, ["--input-type=module", "-e", text]] as const;

it("is not held by a process that was killed, and is by one that lives", async () => {
  const target = join(temporaryFolder(), "out.jsonl");
  const owner = spawn(...node(program(target, "setInterval(() => {}, 1000);")), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(owner.stdout, "data");
  expect(await isRefused(target)).toBe(true);
  owner.kill("SIGKILL");
  await once(owner, "close");
  expect(await isRefused(target)).toBe(false);
});

it.runIf(process.platform === "linux")("is not held by a later process with the same number", async () => {
  const folder = temporaryFolder();
  const target = join(folder, "out.jsonl");
  const lock = await FileLock.acquire(target, errors);
  const [name] = readdirSync(folder);
  const owner = JSON.parse(readFileSync(join(folder, name!), "utf8"));
  await lock.release();
  const other = (changed: object) =>
    writeFileSync(`${target}.lock.1`, JSON.stringify({ ...owner, ...changed }));
  other({});
  expect(await isRefused(target)).toBe(true);
  other({ started: String(Number(owner.started) - 1) });
  expect(await isRefused(target)).toBe(false);
  other({ boot: "another" });
  expect(await isRefused(target)).toBe(false);
  other({ host: "another", pid: 1 });
  expect(await isRefused(target)).toBe(true);
  writeFileSync(`${target}.lock.1`, "torn");
  expect(await isRefused(target)).toBe(false);
});

it("goes to one of many that find a dead owner's at the same moment", async () => {
  for (let round = 0; round < 3; round++) {
    const target = join(temporaryFolder(), "out.jsonl");
    spawnSync(...node(program(target, "")));
    expect(readdirSync(join(target, ".."))).toEqual(["out.jsonl.lock.1"]);
    const results = await Promise.all(
      Array.from({ length: 8 }, () => FileLock.acquire(target, errors).catch(() => undefined)),
    );
    expect(results.filter((lock) => lock !== undefined).length).toBeLessThanOrEqual(1);
    for (const lock of results) await lock?.release();
    expect(await isRefused(target)).toBe(false);
  }
});
