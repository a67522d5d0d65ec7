import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readGguf } from "../../src/gguf/reader.js";
import { writeHollowGguf } from "../../src/gguf/writer.js";
import { ended, jauge, startJauge, stories, temporaryFolder } from "./harness.js";

const folder = temporaryFolder();

it("quantize writes a model that runs, and refuses to write over it", () => {
  const output = join(folder, "q8.gguf");
  const { status, stdout, stderr } = jauge(["quantize", stories, output, "q8_0"]);
  expect(stderr).toMatch(/^GGUF, llama, F32: 1\.0 MB → /);
  expect(stdout).toMatch(/q8\.gguf: [\d.]+ kB in [\d.]+ s/);
  expect(status).toBe(0);
  expect(readdirSync(folder)).toEqual(["q8.gguf"]);
  expect(jauge(["run", output, "Once upon a time", "-n", "4", "--temp", "0"]).status).toBe(0);
  const again = jauge(["quantize", stories, output, "Q4_K"]);
  expect(again.status).toBe(3);
  expect(again.stderr).toContain("--force");
});

it("convert tells a program what it does, by events", () => {
  const output = join(folder, "plain.gguf");
  const { status, stdout } = jauge(["convert", stories, "-o", output, "--type", "auto", "--json"]);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(status).toBe(0);
  const kinds = events.map(({ event }) => event);
  expect(kinds[0]).toBe("planned");
  expect(kinds.slice(-2)).toEqual(["verifying", "done"]);
  const last = events.findLast(({ event }) => event === "progress");
  expect(last.bytes).toBe(last.totalBytes);
  expect(events.at(-1).bytes).toBe(readFileSync(output).length);
});

it("quantize goes on where nobody reads its events any more", async () => {
  const output = join(folder, "unread.gguf");
  const job = startJauge(["quantize", stories, output, "q8_0", "--json"]);
  job.stdout!.once("data", () => job.stdout!.destroy());
  expect(await ended(job)).toBe(0);
  expect(existsSync(output)).toBe(true);
});

it("convert says at once what llama.cpp could not load, and leaves nothing behind", async () => {
  const { metadata, tensors } = await readGguf(stories);
  const source = join(folder, "lacking.gguf");
  const lacking = tensors.filter(({ name }) => name !== "blk.1.attn_k.weight");
  await writeHollowGguf(source, { metadata, tensors: lacking });
  const empty = join(folder, "empty");
  mkdirSync(empty);
  const { status, stderr } = jauge(["convert", source, "-o", join(empty, "out.gguf"), "--type", "Q8_0"]);
  expect(status).toBe(3);
  expect(stderr).toMatch(/lacking\.gguf: llama\.cpp could not load what it would become:\n.*attn_k/s);
  expect(readdirSync(empty)).toEqual([]);
});

it("weights that are no numbers are refused by name and place, and nothing is left behind", async () => {
  const here = mkdtempSync(join(folder, "unfit-"));
  const source = join(here, "unfit.gguf");
  const bytes = readFileSync(stories);
  const { tensors } = await readGguf(stories);
  const tensor = tensors.find(({ name }) => name === "blk.2.ffn_down.weight")!;
  bytes.writeFloatLE(Number.NaN, tensor.fileOffset + 4 * (7 * tensor.shape[0]! + 3));
  writeFileSync(source, bytes);
  const { status, stderr } = jauge(["quantize", source, join(here, "out.gguf"), "Q4_0"]);
  expect(status).toBe(3);
  expect(stderr).toContain("blk.2.ffn_down.weight: row 7, column 3 is NaN, which no weight can be");
  expect(readdirSync(here)).toEqual(["unfit.gguf"]);
});

it("a file without a name is named after what it becomes", () => {
  const here = mkdtempSync(join(folder, "here-"));
  const { status } = jauge(["convert", stories, "--type", "auto"], { cwd: here });
  expect(status).toBe(0);
  expect(readdirSync(here)).toEqual(["stories260K-BF16.gguf"]);
});

it("a dry run shows every tensor and writes nothing", () => {
  const output = join(folder, "dry.gguf");
  const wishes = ["--tensor-type", "attn_v=Q8_0", "--output-tensor-type", "F16"];
  const { status, stdout } = jauge(["quantize", stories, output, "Q4_0", "--dry-run", ...wishes]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^blk\.3\.attn_v\.weight +64×32 +F32 +Q8_0 /m);
  expect(stdout).toMatch(/^47 tensors, 1\.0 MB → [\d.]+ kB of weights, [\d.]+ bits each$/m);
  expect(existsSync(output)).toBe(false);
});

it("split and merge go there and back, and say what is missing", () => {
  const parts = join(folder, "part");
  const unlimited = jauge(["split", stories, parts]);
  expect(unlimited.status).toBe(2);
  expect(unlimited.stderr).toContain("--max-size or --max-tensors");
  expect(jauge(["split", stories, parts, "--max-tensors", "30"]).status).toBe(0);
  const merged = join(folder, "merged.gguf");
  expect(jauge(["merge", `${parts}-00002-of-00002.gguf`, merged]).status).toBe(0);
  expect(jauge(["merge", merged, join(folder, "twice.gguf")]).status).toBe(3);
});

it("options that would do nothing are refused, and of a wrong one the part that is wrong is named", () => {
  const refused = (...options: string[]) => {
    const { status, stderr } = jauge(["convert", stories, "-o", join(folder, "no.gguf"), ...options]);
    expect(status).toBe(2);
    return stderr;
  };
  expect(refused("--new-rows", "mean")).toContain("--new-rows needs --base");
  expect(refused("--type", "auto", "--imatrix", "none")).toContain("--imatrix would change nothing");
  expect(refused("--rms-epsilon", "1e-6")).toContain("--rms-epsilon would change nothing");
  expect(refused("--lora-scaled", "lora:abc")).toContain("FOLDER:SCALE");
  expect(refused("--tensor-type", "(ffn=Q4_K")).toContain('which "(ffn" is not');
  expect(refused("--tensor-type", "ffn=Q9_Z")).toContain('which "Q9_Z" is not');
});
