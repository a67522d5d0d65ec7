import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSource } from "../../src/batch/input/source.js";
import { profileOf } from "../../src/batch/profile.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "jauge-profile-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A token for each character. */
const tokenize = async (text: string) => Int32Array.from(text, (_, index) => index);

async function profileOfLines(lines: object[], name = "job.jsonl") {
  const path = join(folder, name);
  await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return profileOf(await openSource(path, {}), tokenize, { defaults: {}, expectedTokens: 256 });
}

test("a job's profile has its usual and its longest request", async () => {
  const lines = Array.from({ length: 900 }, () => ({ prompt: "x".repeat(100), max_tokens: 20 }));
  // One of a thousand: a sample of half of them may miss it.
  const profile = await profileOfLines([...lines, { prompt: "x".repeat(3000), max_tokens: 500 }]);
  expect(profile).toMatchObject({ requests: 901, answerTokens: expect.closeTo(20, -1) });
  expect(profile!.promptTokens).toBeGreaterThanOrEqual(100);
  expect(profile!.promptTokens).toBeLessThan(120);
  expect(profile!.longest).toBeGreaterThanOrEqual(3500);
  expect(profile!.longest).toBeLessThan(4096);
});

test("a short prompt may have the longest answer", async () => {
  const lines = Array.from({ length: 2000 }, (_, index) => ({
    prompt: "x".repeat(400),
    max_tokens: 20 + (index % 3),
  }));
  const profile = await profileOfLines([...lines, { prompt: "essay", max_tokens: 2000 }, ...lines]);
  expect(profile!.longest).toBeGreaterThanOrEqual(2005);
  expect(profile!.longest).toBeLessThan(4096);
});

test("one answer without a limit among many has room, too", async () => {
  const lines = Array.from({ length: 2000 }, () => ({ prompt: "x".repeat(400), max_tokens: 20 }));
  expect((await profileOfLines([...lines, { prompt: "short" }, ...lines]))!.longest).toBe(4096);
});

test("answers that nothing limits have room for the usual context", async () => {
  const profile = await profileOfLines([{ prompt: "short" }]);
  expect(profile).toMatchObject({ answerTokens: 256, longest: 4096, requests: 1 });
});

test("of a file that is too long to be read beforehand, later lines may be longer", async () => {
  const lines = Array.from({ length: 20_002 }, () => ({ prompt: "x".repeat(500), max_tokens: 100 }));
  const profile = await profileOfLines(lines);
  expect(profile!.requests).toBeUndefined();
  expect(profile!.longest).toBeGreaterThanOrEqual(1200);
  expect(profile!.longest).toBeLessThanOrEqual(4096);
});

test.runIf(process.platform !== "win32")("a small file through a pipe is as the file", async () => {
  const path = join(folder, "small.jsonl");
  const pipe = join(folder, "pipe");
  const text = Array.from(
    { length: 30 },
    (_, index) => `{"prompt": "${"x".repeat(9 * index)}", "max_tokens": 9}\n`,
  );
  await writeFile(path, text.join(""));
  spawnSync("mkfifo", [pipe]);
  const options = { defaults: {}, expectedTokens: 256 };
  const written = writeFile(pipe, text.join(""));
  const source = await openSource(pipe, {});
  const glanced = await profileOf(await source.glance(), tokenize, options);
  await written;
  expect(glanced).toMatchObject({ requests: 30, answerTokens: 9 });
  expect(glanced).toEqual(await profileOf(await openSource(path, {}), tokenize, options));
  const numbers: number[] = [];
  for await (const { number } of source.items()) numbers.push(number);
  expect(numbers).toEqual(text.map((_, index) => index + 1));
  expect(source.totalBytes).toBe(source.readBytes);
});

test("a file without a line that can be read has none", async () => {
  expect(await profileOfLines([{ nonsense: 1 }])).toBeUndefined();
});
