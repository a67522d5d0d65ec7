import { readdir, readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { numberChunks, stringChunks } from "../../src/gguf/arrays.js";
import type { WritableValue } from "../../src/gguf/encode.js";
import type { ScalarType, ScalarValue } from "../../src/gguf/metadata.js";
import { readModel } from "../../src/gguf/model-file.js";
import { readGguf } from "../../src/gguf/reader.js";
import { type TensorTypeName, tensorBytes, tensorTypes } from "../../src/gguf/tensor-types.js";
import { type TensorSource, writeGguf } from "../../src/gguf/writer.js";
import { librariesFolder, NativeOracle } from "./native.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes("\0"));
const values: { [Type in ScalarType]: fc.Arbitrary<ScalarValue> } = {
  uint8: fc.integer({ min: 0, max: 255 }),
  int8: fc.integer({ min: -128, max: 127 }),
  uint16: fc.integer({ min: 0, max: 65_535 }),
  int16: fc.integer({ min: -32_768, max: 32_767 }),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  float32: fc.float(),
  bool: fc.boolean(),
  string: fc.string({ unit: "grapheme" }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  float64: fc.double(),
};
const scalarType = fc.constantFrom(...(Object.keys(values) as ScalarType[]));
const metadataValue: fc.Arbitrary<WritableValue> = fc.oneof(
  scalarType.chain((type) => values[type].map((value) => ({ type, value }) as WritableValue)),
  scalarType.chain((elementType) =>
    fc
      .array(values[elementType], { maxLength: 40 })
      .map((items): WritableValue => ({ type: "array", value: { elementType, items } })),
  ),
);
const tensor = fc
  .tuple(
    fc.constantFrom(...(Object.keys(tensorTypes) as TensorTypeName[])),
    fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 }),
    fc.integer({ min: 1, max: 97 }),
  )
  .map(([type, blocks, chunk]) => {
    const { blockElements } = tensorTypes[type];
    const shape = blocks.length === 0 && blockElements > 1 ? [1] : blocks;
    return { type, shape: shape.map((size, axis) => (axis === 0 ? size * blockElements : size)), chunk };
  });

function source(
  name: string,
  { type, shape, chunk }: { type: TensorTypeName; shape: number[]; chunk: number },
) {
  const bytes = Buffer.alloc(tensorBytes(type, shape)!, name);
  const data = function* () {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  };
  return { bytes, source: { name, type, shape, data } satisfies TensorSource };
}

describe("writeGguf", () => {
  it("writes what readGguf reads, whatever it is", async () => {
    const path = temporary.path("round.gguf");
    const keys = fc.uniqueArray(fc.tuple(name, metadataValue), { selector: ([key]) => key, maxLength: 8 });
    const tensors = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([name]) => name, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(keys, tensors, fc.constantFrom(8, 32, 64, 4096), async (keys, tensors, alignment) => {
        const sources = tensors.map(([name, tensor]) => source(name, tensor));
        const metadata = new Map(keys);
        const bytes = await writeGguf(
          path,
          { metadata, tensors: sources.map(({ source }) => source) },
          { alignment },
        );

        const header = await readGguf(path);
        const file = await readFile(path);
        expect(file.length).toBe(bytes);
        expect(header.alignment).toBe(alignment);
        for (const [key, written] of metadata) {
          const read = header.metadata.get(key)!;
          expect(read.type).toBe(written.type);
          if (written.type === "array") {
            const { elementType, items } = written.value as { elementType: ScalarType; items: ScalarValue[] };
            expect(read.value).toMatchObject({ elementType, count: items.length, items });
          } else {
            expect(read.value).toEqual(written.value);
          }
        }
        for (const [index, { bytes, source }] of sources.entries()) {
          const { name, type, shape, fileOffset } = header.tensors[index]!;
          expect({ name, type, shape }).toEqual({
            name: source.name,
            type: source.type,
            shape: source.shape,
          });
          expect(file.subarray(fileOffset, fileOffset + bytes.length).equals(bytes)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("copies a model through its own reader, and llama.cpp runs the copy", async () => {
    const { metadata, tensors } = await readGguf(storiesPath);
    const file = await readFile(storiesPath);
    const path = temporary.path("copy.gguf");
    await writeGguf(path, {
      metadata,
      tensors: tensors.map(({ name, type, shape, fileOffset, bytes }) => ({
        name,
        type,
        shape,
        data: () => [file.subarray(fileOffset, fileOffset + bytes)],
      })),
    });
    expect((await readFile(path)).equals(file)).toBe(true);
    const folder = librariesFolder();
    if (!folder) return;
    const oracle = new NativeOracle(folder);
    expect(await oracle.load(path)).toMatchObject({ kind: "ran" });
    await oracle.close();
  });

  it("streams arrays of any length from chunks, and copies long ones from file to file", async () => {
    const first = temporary.path("chunks.gguf");
    const count = 5000;
    const chunks = function* () {
      for (let at = 0; at < count; at += 100)
        yield Array.from({ length: 100 }, (_, index) => `word ${at + index}`);
    };
    const numbers = {
      elementType: "float32" as const,
      items: Array.from({ length: count }, (_, index) => index / 2),
    };
    const metadata = new Map<string, WritableValue>([
      ["words", { type: "array", value: { elementType: "string", count, chunks } }],
      ["numbers", { type: "array", value: numbers }],
    ]);
    await writeGguf(first, { metadata, tensors: [] });
    const second = temporary.path("chunks-copy.gguf");
    await writeGguf(second, { metadata: (await readGguf(first)).metadata, tensors: [] });

    expect((await readFile(second)).equals(await readFile(first))).toBe(true);
    const header = await readGguf(second);
    const words: string[] = [];
    for await (const chunk of stringChunks(header.metadata.array("words")!)) words.push(...chunk);
    expect(words).toHaveLength(count);
    expect(words[4999]).toBe("word 4999");
    const read: number[] = [];
    for await (const chunk of numberChunks(header.metadata.array("numbers")!)) read.push(...chunk);
    expect(read).toEqual(numbers.items);
  });

  it("leaves nothing behind when a source fails, gives too little or too much, or is aborted", async () => {
    const path = temporary.path("failed.gguf");
    const write = (data: TensorSource["data"], signal?: AbortSignal) =>
      writeGguf(
        path,
        { metadata: new Map(), tensors: [{ name: "t", type: "F32", shape: [4], data }] },
        { signal },
      );
    const broken = function* () {
      yield Buffer.alloc(8);
      throw new Error("the source broke");
    };
    await expect(write(broken)).rejects.toThrow("the source broke");
    await expect(write(() => [Buffer.alloc(12)])).rejects.toThrow(RangeError);
    await expect(write(() => [Buffer.alloc(12), Buffer.alloc(12)])).rejects.toThrow(RangeError);
    await expect(write(() => [Buffer.alloc(16)], AbortSignal.abort(new Error("enough")))).rejects.toThrow(
      "enough",
    );
    expect((await readdir(temporary.path("."))).filter((file) => file.startsWith("failed"))).toEqual([]);
  });

  it("refuses tensor names that no reader would take", async () => {
    const write = (...names: string[]) =>
      writeGguf(temporary.path("names.gguf"), {
        metadata: new Map(),
        tensors: names.map((name) => ({ name, type: "F32", shape: [1], data: () => [Buffer.alloc(4)] })),
      });
    for (const names of [[""], ["x".repeat(64)], ["a\0b"], ["same", "same"]])
      await expect(write(...names)).rejects.toThrow(RangeError);
  });

  it("says why a file cannot be written", async () => {
    const write = writeGguf(temporary.path("no/such/folder/x.gguf"), { metadata: new Map(), tensors: [] });
    await expect(write).rejects.toMatchObject({ code: "file-unwritable" });
  });
});

describe("readModel", () => {
  const parts =
    (count: number, edit?: (part: number, metadata: Map<string, WritableValue>) => void) =>
    async (prefix: string) => {
      const { metadata, tensors } = await readGguf(storiesPath);
      const file = await readFile(storiesPath);
      for (let part = 0; part < count; part++) {
        const own = tensors.filter((_, index) => index % count === part);
        const keys = new Map<string, WritableValue>(part === 0 ? metadata.entries() : []);
        keys.set("split.no", { type: "uint16", value: part });
        keys.set("split.count", { type: "uint16", value: count });
        keys.set("split.tensors.count", { type: "int32", value: tensors.length });
        edit?.(part, keys);
        const name = `${prefix}-0000${part + 1}-of-0000${count}.gguf`;
        const data = (offset: number, bytes: number) => () => [file.subarray(offset, offset + bytes)];
        await writeGguf(temporary.path(name), {
          metadata: keys,
          tensors: own.map(({ name, type, shape, fileOffset, bytes }) => ({
            name,
            type,
            shape,
            data: data(fileOffset, bytes),
          })),
        });
      }
    };

  it("reads all parts of a split model from any of them, as llama.cpp does", async () => {
    await parts(3)("split");
    const whole = await readModel(storiesPath);
    for (const part of [1, 2, 3]) {
      const model = await readModel(temporary.path(`split-0000${part}-of-00003.gguf`));
      expect(model.path).toBe(temporary.path("split-00001-of-00003.gguf"));
      expect(model.shards).toHaveLength(3);
      expect(model.metadata.number("llama.block_count")).toBe(5);
      expect(new Set(model.tensors.map(({ name }) => name))).toEqual(
        new Set(whole.tensors.map(({ name }) => name)),
      );
      expect(new Set(model.tensors.map(({ shard }) => shard))).toEqual(new Set([0, 1, 2]));
    }
    const folder = librariesFolder();
    if (!folder) return;
    const oracle = new NativeOracle(folder);
    expect(await oracle.load(temporary.path("split-00001-of-00003.gguf"))).toMatchObject({ kind: "ran" });
    await oracle.close();
  });

  it("names the part that is missing", async () => {
    await parts(2)("half");
    const { rm } = await import("node:fs/promises");
    await rm(temporary.path("half-00002-of-00002.gguf"));
    const read = readModel(temporary.path("half-00001-of-00002.gguf"));
    await expect(read).rejects.toMatchObject({ code: "gguf-shard-missing", facts: { shard: 2, count: 2 } });
  });

  it("refuses parts that do not belong together", async () => {
    await parts(2, (part, keys) => part === 1 && keys.set("split.no", { type: "uint16", value: 0 }))("twice");
    await expect(readModel(temporary.path("twice-00001-of-00002.gguf"))).rejects.toMatchObject({
      code: "gguf-malformed",
    });
    await parts(2, (_, keys) => keys.set("split.tensors.count", { type: "int32", value: 9 }))("count");
    await expect(readModel(temporary.path("count-00001-of-00002.gguf"))).rejects.toThrow(/47.*9/);
    await parts(1, (_, keys) => keys.set("split.count", { type: "uint16", value: 2 }))("name");
    const { rename } = await import("node:fs/promises");
    await rename(temporary.path("name-00001-of-00001.gguf"), temporary.path("renamed.gguf"));
    await expect(readModel(temporary.path("renamed.gguf"))).rejects.toThrow(/-00001-of-00002\.gguf/);
  });
});
