import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { IdSet } from "../../src/batch/id-set.js";
import { Journal } from "../../src/batch/journal.js";
import { duplicateKey, keyOfLine } from "../../src/batch/result-line.js";
import { isJaugeError } from "../../src/errors.js";
import { root, temporaryFolder } from "../cli/harness.js";

const folder = temporaryFolder();
const line = (id: string, error: object | null = null) =>
  JSON.stringify({ id: `batch_req_${id.length}`, custom_id: id, response: null, error });
const whole = [line("one"), line("deux é😀"), line("3")].map((text) => `${text}\n`).join("");

let files = 0;
function file(content: string | Uint8Array): string {
  const path = join(folder, `${files++}.jsonl`);
  writeFileSync(path, content);
  return path;
}

it("cuts a torn last line at every byte, keeps the others, and goes on behind them", async () => {
  const bytes = Buffer.from(whole);
  for (let length = 0; length <= bytes.length; length++) {
    const path = file(bytes.subarray(0, length));
    const journal = await Journal.open(path, keyOfLine);
    const kept = bytes.subarray(0, length).lastIndexOf(10) + 1;
    expect(journal.bytes).toBe(kept);
    const lines = bytes.subarray(0, kept).toString().split("\n").length - 1;
    expect(journal.finished.size).toBe(lines);
    expect(["one", "deux é😀", "3"].map((id) => journal.finished.has(id))).toEqual(
      [1, 2, 3].map((count) => count <= lines),
    );
    await journal.append(line("new"));
    await journal.close();
    expect(readFileSync(path)).toEqual(
      Buffer.concat([bytes.subarray(0, kept), Buffer.from(`${line("new")}\n`)]),
    );
  }
});

it.each([
  ["zeros behind whole lines", Buffer.concat([Buffer.from(whole), Buffer.alloc(5000)]), 3],
  ["zeros alone", Buffer.alloc(100), 0],
  [
    "a block that was never written between some that were",
    Buffer.concat([Buffer.from(whole), Buffer.alloc(50), Buffer.from(`x\n${whole}`)]),
    3,
  ],
])("cuts what a crash of the system leaves: %s", async (_, content, lines) => {
  const path = file(content);
  const journal = await Journal.open(path, keyOfLine);
  expect(journal.finished.size).toBe(lines);
  await journal.close();
  expect(readFileSync(path, "utf8")).toBe(lines === 0 ? "" : whole);
});

it.each(["a letter to somebody", "a letter\n", '{"custom_id":"one"}\n', `${whole}mine\n`, '{"id":"batch_x'])(
  "leaves a file alone that is none of ours: %j",
  async (content) => {
    const path = file(content);
    const error = await Journal.open(path, keyOfLine).catch((thrown: unknown) => thrown);
    expect(isJaugeError(error, "batch-output-foreign")).toBe(true);
    expect(readFileSync(path, "utf8")).toBe(content);
  },
);

it("knows a second line with the same custom_id from the first", () => {
  const error = { code: "line-duplicate-id", line: 7 };
  expect(keyOfLine(line("a", error))).toBe(duplicateKey("a", 7));
  expect(keyOfLine(line("a", { code: "line-invalid", line: 7 }))).toBe("a");
});

it("writes whole lines in order, however many come at once", async () => {
  const path = file("");
  const journal = await Journal.open(path, keyOfLine);
  const lines = Array.from({ length: 5000 }, (_, index) => line(`${index} ${"é".repeat(index % 700)}`));
  for (const text of lines) await journal.append(text);
  await journal.sync();
  expect(readFileSync(path, "utf8")).toBe(lines.map((text) => `${text}\n`).join(""));
  await journal.close();
});

it.runIf(process.platform === "linux")("stays whole where there is no more room", async () => {
  // A limit on the size of files stands for a full disk: a part of the last write is done, then it fails.
  const path = join(folder, "full.jsonl");
  const program = `
    import { Journal } from ${JSON.stringify(`${root}dist/batch/journal.js`)};
    import { keyOfLine } from ${JSON.stringify(`${root}dist/batch/result-line.js`)};
    const journal = await Journal.open(${JSON.stringify(path)}, keyOfLine);
    try {
      for (let index = 0; ; index++) {
        await journal.append(JSON.stringify({ id: "batch_req_", custom_id: String(index), text: "x".repeat(90) }));
        if (index % 100 === 0) await journal.sync();
      }
    } catch (error) {
      await journal.close();
      console.log(error.code, error.facts.full);
    }`;
  const script = `trap '' XFSZ; ulimit -f 40; exec "$0" --input-type=module -e "$1"`;
  const { stdout } = spawnSync("bash", ["-c", script, process.execPath, program], { encoding: "utf8" });
  expect(stdout.trim()).toBe("batch-write-failed true");
  const text = readFileSync(path, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  const ids = text
    .trimEnd()
    .split("\n")
    .map((one) => JSON.parse(one).custom_id);
  expect(ids.length).toBeGreaterThan(50);
  expect(ids).toEqual(ids.map((_, index) => String(index)));
});

it("finds every identity that was added, and no other", () => {
  const ids = new IdSet();
  for (let index = 0; index < 50_000; index++) expect(ids.add(`line-${index}`)).toBe(true);
  for (let index = 0; index < 50_000; index++) if (ids.add(`line-${index}`)) expect.fail(`${index}`);
  expect(ids.size).toBe(50_000);
  for (let index = 50_000; index < 60_000; index++) if (ids.has(`line-${index}`)) expect.fail(`${index}`);
});
