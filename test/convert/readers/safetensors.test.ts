import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { counting, elementsOf, safetensorsFile, withHeader } from "./checkpoint-files.js";

const temporary = temporaryFolder();
const open = async (bytes: Uint8Array) => openCheckpoint(await temporary.file("one.safetensors", bytes));
const folder = async (name: string, files: Record<string, Uint8Array | string>) => {
  const path = temporary.path(name);
  await mkdir(path, { recursive: true });
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(path, file), bytes);
  return path;
};

describe("one file", () => {
  it("gives its tensors, whole and in parts", async () => {
    const bytes = safetensorsFile(
      {
        a: counting([2, 3]),
        "model.b": { dtype: "I64", shape: [2], data: Buffer.from(BigInt64Array.of(-1n, 2n ** 40n).buffer) },
        c: { dtype: "BF16", shape: [2, 1], data: Buffer.from([0x80, 0x3f, 0x00, 0xc0]) },
        scalar: counting([], 5),
        empty: counting([0, 4]),
        f: { dtype: "F8_E4M3", shape: [3], data: Buffer.from([1, 2, 3]) },
      },
      { format: "pt" },
    );
    const checkpoint = await open(bytes);
    expect(checkpoint.format).toBe("safetensors");
    expect(
      Object.fromEntries([...checkpoint.tensors].map(([name, { type, shape }]) => [name, [type, shape]])),
    ).toEqual({
      a: ["F32", [2, 3]],
      "model.b": ["I64", [2]],
      c: ["BF16", [2, 1]],
      scalar: ["F32", []],
      empty: ["F32", [0, 4]],
      f: ["F8_E4M3", [3]],
    });
    const tensor = (name: string) => checkpoint.tensors.get(name)!;
    expect(await elementsOf(tensor("a"))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await elementsOf(tensor("a"), 2, 3)).toEqual([2, 3, 4]);
    expect(await elementsOf(tensor("model.b"))).toEqual([-1, 2 ** 40]);
    expect(await elementsOf(tensor("c"))).toEqual([1, -2]);
    expect(await elementsOf(tensor("scalar"))).toEqual([5]);
    expect(await elementsOf(tensor("empty"))).toEqual([]);
    await checkpoint.close();
  });

  const data = Buffer.alloc(16);
  it.each([
    ["a header of 2^62 bytes", Buffer.from("000000000000004000", "hex"), "checkpoint-unrecognised"],
    ["a header beyond the file", Buffer.from("ff000000000000007b7d", "hex"), "checkpoint-truncated"],
    ["a header of 2 GiB", Buffer.from("00000080000000007b7d", "hex"), "checkpoint-malformed"],
    ["no JSON", withHeader('{"a":', data), "checkpoint-malformed"],
    ["deep JSON", withHeader(`{"a":${"[".repeat(1000)}`, data), "checkpoint-malformed"],
    ["no object", withHeader('{"a":3}', data), "checkpoint-malformed"],
    ["an unknown type", withHeader(entry("F7", [4], 0, 16), data), "checkpoint-malformed"],
    ["a type without a place in GGUF", withHeader(entry("U32", [4], 0, 16), data), "checkpoint-unsupported"],
    [
      "a type by a name of JavaScript's",
      withHeader(entry("toString", [4], 0, 16), data),
      "checkpoint-malformed",
    ],
    ["a negative size", withHeader(entry("F32", [-4], 0, 16), data), "checkpoint-malformed"],
    [
      "a size that overflows",
      withHeader(entry("F32", [2 ** 40, 2 ** 40], 0, 16), data),
      "checkpoint-malformed",
    ],
    ["a fraction", withHeader(entry("F32", [0.5, 8], 0, 16), data), "checkpoint-malformed"],
    ["too few bytes", withHeader(entry("F32", [4], 0, 12), data), "checkpoint-malformed"],
    ["offsets turned round", withHeader(entry("F32", [4], 16, 0), data), "checkpoint-malformed"],
    ["data beyond the file", withHeader(entry("F32", [8], 0, 32), data), "checkpoint-truncated"],
    ["a hole before", withHeader(entry("F32", [2], 8, 16), data), "checkpoint-malformed"],
    ["a hole behind", withHeader(entry("F32", [2], 0, 8), data), "checkpoint-malformed"],
    [
      "an overlap",
      withHeader(`{${pair("a", "F32", [4], 0, 16)},${pair("b", "F32", [2], 8, 16)}}`, data),
      "checkpoint-malformed",
    ],
  ])("is refused with %s", async (_, bytes, code) => {
    await expect(open(bytes)).rejects.toMatchObject({ code });
  });
});

function entry(dtype: string, shape: number[], begin: number, end: number): string {
  return `{${pair("a", dtype, shape, begin, end)}}`;
}

function pair(name: string, dtype: string, shape: number[], begin: number, end: number): string {
  return `"${name}":${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
}

describe("shards", () => {
  const first = safetensorsFile({ a: counting([2]), b: counting([3], 10) });
  const second = safetensorsFile({ c: counting([2, 2], 20) });
  const index = (map: Record<string, string>) => JSON.stringify({ metadata: {}, weight_map: map });
  const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
  const map = { a: one, b: one, c: two };
  const indexName = "model.safetensors.index.json";

  it("open by their folder, their index, or any of them", async () => {
    const path = await folder("whole", {
      [one]: first,
      [two]: second,
      [indexName]: index(map),
      "config.json": "{}",
    });
    const fingerprints = new Set<string>();
    for (const given of [path, join(path, indexName), join(path, two)]) {
      const checkpoint = await openCheckpoint(given);
      expect(checkpoint.format).toBe("safetensors, 2 shards");
      expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
      expect(await elementsOf(checkpoint.tensors.get("c")!)).toEqual([20, 21, 22, 23]);
      fingerprints.add(checkpoint.fingerprint);
      await checkpoint.close();
    }
    expect(fingerprints.size).toBe(1);
    await writeFile(join(path, two), safetensorsFile({ c: counting([2, 2], 30) }));
    const changed = await openCheckpoint(path);
    expect([...fingerprints]).not.toContain(changed.fingerprint);
    await changed.close();
  });

  it("open without an index, where all are there", async () => {
    const checkpoint = await openCheckpoint(await folder("plain", { [one]: first, [two]: second }));
    expect(checkpoint.tensors.size).toBe(3);
    await checkpoint.close();
    await expect(openCheckpoint(await folder("half", { [two]: second }))).rejects.toMatchObject({
      code: "checkpoint-file-missing",
      facts: { file: one },
    });
  });

  it.each([
    ["a missing shard", { [one]: first, [indexName]: index(map) }, "checkpoint-file-missing"],
    [
      "a tensor that its shard lacks",
      { [one]: first, [two]: second, [indexName]: index({ ...map, d: one }) },
      "checkpoint-tensor-missing",
    ],
    [
      "a tensor in two shards",
      {
        [one]: first,
        [two]: safetensorsFile({ a: counting([1]), c: counting([1]) }),
        [indexName]: index(map),
      },
      "checkpoint-malformed",
    ],
    ["a file elsewhere", { [one]: first, [indexName]: index({ a: "../secret" }) }, "checkpoint-malformed"],
    ["an empty list", { [one]: first, [indexName]: index({}) }, "checkpoint-malformed"],
    ["an index of another kind", { [one]: first, [indexName]: "[]" }, "checkpoint-malformed"],
  ])("are refused with %s", async (name, files, code) => {
    const path = await folder(name.replaceAll(" ", "-"), files);
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code });
  });
});

describe("what is no checkpoint", () => {
  it.each([
    ["a GGUF file", Buffer.from("GGUF\x03\0\0\0\0\0\0\0\0\0\0\0", "latin1")],
    ["an empty file", Buffer.alloc(0)],
    ["a text", Buffer.from("hello")],
  ])("%s is said to be none", async (_, bytes) => {
    await expect(open(bytes)).rejects.toMatchObject({ code: "checkpoint-unrecognised" });
  });

  it("a folder without any, or with several", async () => {
    await expect(openCheckpoint(await folder("empty", {}))).rejects.toMatchObject({
      code: "checkpoint-unrecognised",
    });
    const several = await folder("several", { "x.safetensors": "", "y.safetensors": "" });
    await expect(openCheckpoint(several)).rejects.toMatchObject({
      code: "checkpoint-unrecognised",
      facts: { looksLike: expect.stringContaining("x.safetensors, y.safetensors") },
    });
    await expect(openCheckpoint(join(several, "none"))).rejects.toMatchObject({ code: "file-unreadable" });
  });
});
