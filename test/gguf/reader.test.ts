import { execFileSync } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.js";
import { isJaugeError } from "../../src/errors.js";
import { numberChunks, stringChunks } from "../../src/gguf/arrays.js";
import { readModel } from "../../src/gguf/model-file.js";
import { readGguf } from "../../src/gguf/reader.js";
import { validateModel } from "../../src/gguf/validate.js";
import { arrayType, f32, parseRaw, type RawGguf, serialiseRaw, u32 } from "./raw.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();
const stories = await readFile(storiesPath);

async function refusal(bytes: Uint8Array | string): Promise<{ code: ErrorCode; text: string }> {
  const path = await temporary.file(`refused.gguf`, bytes);
  try {
    await readGguf(path);
  } catch (error) {
    if (!isJaugeError(error)) throw error;
    expect(error.fix.length).toBeGreaterThan(10);
    expect(error.message).toContain(path);
    return { code: error.code, text: `${error.message} ${error.fix}` };
  }
  throw new Error("was accepted");
}

/** The stories model with something changed. */
function changed(change: (raw: RawGguf) => void): Buffer {
  const raw = parseRaw(stories);
  change(raw);
  return serialiseRaw(raw);
}

function scalar(key: string, type: number, payload: Buffer) {
  return { key: Buffer.from(key), type, elementType: type, count: 1n, payload };
}

describe("readGguf", () => {
  it("reads the embedded model", async () => {
    const header = await readGguf(storiesPath);
    expect(header).toMatchObject({ version: 3, alignment: 32, fileBytes: stories.length });
    expect(header.metadata.string("general.architecture")).toBe("llama");
    expect(header.metadata.number("llama.block_count")).toBe(5);
    expect(header.tensors).toHaveLength(47);
    expect(header.tensors[0]).toMatchObject({ name: "token_embd.weight", type: "F32", shape: [64, 512] });
    const end = Math.max(...header.tensors.map(({ fileOffset, bytes }) => fileOffset + bytes));
    expect(end).toBeLessThanOrEqual(stories.length);
  });

  it("reads version 2 as well", async () => {
    const path = await temporary.file(
      "v2.gguf",
      changed((raw) => {
        raw.version = 2;
      }),
    );
    expect((await readGguf(path)).version).toBe(2);
  });

  it("reads version 1, whose counts have 32 bits, as what it would be today", async () => {
    const path = await temporary.file(
      "v1.gguf",
      changed((raw) => {
        raw.version = 1;
      }),
    );
    const [first, today] = [await readGguf(path), await readGguf(storiesPath)];
    expect(first.version).toBe(1);
    const inFile = ({ fileOffset, ...rest }: { fileOffset: number }) => rest;
    expect(first.tensors.map(inFile)).toEqual(today.tensors.map(inFile));
    expect([...first.metadata.keys()]).toEqual([...today.metadata.keys()]);
    const tokens = async ({ metadata }: typeof first) => {
      const all: string[] = [];
      for await (const chunk of stringChunks(metadata.array("tokenizer.ggml.tokens")!)) all.push(...chunk);
      return all;
    };
    expect(await tokens(first)).toEqual(await tokens(today));
    await expect(validateModel(await readModel(path))).rejects.toMatchObject({ code: "gguf-version-one" });
  });

  it("leaves long arrays in the file and reads them in chunks", async () => {
    const raw = parseRaw(stories);
    const strings = Array.from({ length: 300_000 }, (_, index) => Buffer.from(`token ${index}`));
    const key = Buffer.from("test.strings");
    raw.keys.push({
      key,
      type: arrayType,
      elementType: 8,
      count: 300_000n,
      payload: Buffer.alloc(0),
      strings,
    });
    const payload = Buffer.alloc(8000, 7);
    raw.keys.push({ ...scalar("test.numbers", 4, payload), type: arrayType, count: 2000n });
    const header = await readGguf(await temporary.file("long.gguf", serialiseRaw(raw)));

    const array = header.metadata.array("test.strings")!;
    expect(array).toMatchObject({ elementType: "string", count: 300_000 });
    expect(array.items).toBeUndefined();
    let seen = 0;
    for await (const chunk of stringChunks(array)) {
      expect(chunk.length).toBeLessThanOrEqual(1024);
      expect(chunk[0]).toBe(`token ${seen}`);
      seen += chunk.length;
    }
    expect(seen).toBe(300_000);
    let count = 0;
    for await (const chunk of numberChunks(header.metadata.array("test.numbers")!)) {
      expect(chunk.every((number) => number === 0x07070707)).toBe(true);
      count += chunk.length;
    }
    expect(count).toBe(2000);
  });

  it("keeps every value type exact", async () => {
    const bytes = (hex: string) => Buffer.from(hex, "hex");
    const path = await temporary.file(
      "types.gguf",
      changed((raw) => {
        raw.keys.push(
          scalar("t.uint8", 0, bytes("ff")),
          scalar("t.int8", 1, bytes("ff")),
          scalar("t.uint16", 2, bytes("ffff")),
          scalar("t.int16", 3, bytes("feff")),
          scalar("t.int32", 5, bytes("ffffffff")),
          scalar("t.float32", 6, f32(0.5)),
          scalar("t.bool", 7, bytes("01")),
          scalar("t.uint64", 10, bytes("ffffffffffffffff")),
          scalar("t.int64", 11, bytes("ffffffffffffffff")),
          scalar("t.float64", 12, bytes("000000000000e03f")),
        );
      }),
    );
    const { metadata } = await readGguf(path);
    expect(
      [..."uint8 int8 uint16 int16 int32 float32 bool uint64 int64 float64".split(" ")].map(
        (type) => metadata.get(`t.${type}`)?.value,
      ),
    ).toEqual([255, -1, 65_535, -2, -1, 0.5, true, 2n ** 64n - 1n, -1n, 0.5]);
    expect(metadata.number("t.int64")).toBe(-1);
    expect(() => metadata.number("t.uint64")).toThrow();
    expect(() => metadata.string("t.bool")).toThrow(/t\.bool/);
    expect(metadata.number("absent")).toBeUndefined();
  });
});

describe("readGguf refuses", () => {
  it.each([
    ["a missing file", () => readGguf(temporary.path("nothing.gguf"))],
    [
      "a folder",
      async () => {
        await mkdir(temporary.path("folder"), { recursive: true });
        return readGguf(temporary.path("folder"));
      },
    ],
  ])("%s", async (_, read) => {
    await expect(read()).rejects.toMatchObject({ code: "file-unreadable" });
  });

  it.skipIf(process.platform === "win32")("a named pipe, without waiting for its writer", async () => {
    const path = temporary.path("pipe.gguf");
    execFileSync("mkfifo", [path]);
    await expect(readGguf(path)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  it.each<[string, string | Buffer, RegExp]>([
    ["an empty file", "", /empty|vide/],
    [
      "safetensors",
      Buffer.concat([Buffer.from([0x40, 1, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a":{}}')]),
      /safetensors/,
    ],
    ["a torch zip", Buffer.from("PK\x03\x04abcdefgh", "latin1"), /PyTorch/],
    ["a pickle", Buffer.from([0x80, 2, 0x8a, 10, 0x6c]), /pickle/],
    ["a GGJT file", Buffer.concat([Buffer.from("tjgg"), u32(3)]), /GGML/],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", /git lfs pull/],
    ["a web page", "<!DOCTYPE html><html><body>login</body></html>", /page/],
    ["something else", "hello, world, this is a text", /known format|format connu/],
  ])("%s, and says what it is", async (_, bytes, words) => {
    const { code, text } = await refusal(bytes);
    expect(code).toBe("not-a-gguf");
    expect(text).toMatch(words);
  });

  const version = (value: number) => Buffer.concat([Buffer.from("GGUF"), u32(value), stories.subarray(8)]);
  it.each<[string, Buffer, ErrorCode]>([
    ["version 0", version(0), "gguf-version"],
    ["version 4", version(4), "gguf-version"],
    ["big-endian files", version(0x03000000), "gguf-big-endian"],
  ])("%s", async (_, bytes, code) => {
    expect((await refusal(bytes)).code).toBe(code);
  });

  it("a file that was cut anywhere, and says by how much", async () => {
    for (const length of [5, 30, 100, 5000, 14_000, 20_000, stories.length - 8192]) {
      const { code, text } = await refusal(stories.subarray(0, length));
      expect([length, code]).toEqual([length, "gguf-truncated"]);
      if (length === stories.length - 8192) expect(text).toContain("8.2 kB");
    }
  });

  it.each<[string, (raw: RawGguf) => void, RegExp]>([
    ["keys twice", (raw) => raw.keys.push(raw.keys[0]!), /general\.architecture/],
    ["empty keys", (raw) => (raw.keys[3]!.key = Buffer.alloc(0)), /metadata\[3\]/],
    ["keys with a NUL", (raw) => (raw.keys[3]!.key = Buffer.from("general.alignment\0x")), /NUL/],
    ["keys that are not UTF-8", (raw) => (raw.keys[3]!.key = Buffer.from([0xff, 0xfe])), /UTF-8/],
    ["unknown value types", (raw) => (raw.keys[4]!.type = 77), /77/],
    ["arrays of arrays", (raw) => Object.assign(raw.keys[16]!, { elementType: arrayType }), /scores|array/],
    ["booleans of 2", (raw) => raw.keys.push(scalar("a.b", 7, Buffer.from([2]))), /a\.b/],
    ["an alignment of 3", (raw) => raw.keys.push(scalar("general.alignment", 4, u32(3))), /alignment/],
    ["an alignment of 0", (raw) => raw.keys.push(scalar("general.alignment", 4, u32(0))), /alignment/],
    ["tensors twice", (raw) => (raw.tensors[1]!.name = raw.tensors[0]!.name), /token_embd/],
    ["tensor names of 64 bytes", (raw) => (raw.tensors[1]!.name = Buffer.alloc(64, "x")), /tensor\[1\]/],
    ["five dimensions", (raw) => (raw.tensors[1]!.shape = [1n, 1n, 1n, 1n, 1n]), /attn_norm/],
    ["dimensions of 0", (raw) => (raw.tensors[1]!.shape = [0n]), /attn_norm/],
    ["shapes past 2⁶³", (raw) => (raw.tensors[1]!.shape = [2n ** 40n, 2n ** 40n]), /attn_norm/],
    ["removed tensor types", (raw) => (raw.tensors[1]!.type = 4), /attn_norm.*4/],
    ["rows of half a block", (raw) => (raw.tensors[1]!.type = 12), /256/],
    ["offsets off the alignment", (raw) => (raw.tensors[1]!.offset += 4n), /32/],
    ["tensors over each other", (raw) => (raw.tensors[1]!.offset = 0n), /token_embd|attn_norm/],
  ])("%s", async (_, change, words) => {
    const { code, text } = await refusal(changed(change));
    expect(code).toBe("gguf-malformed");
    expect(text).toMatch(words);
  });

  it("counts that no file could hold, without allocating for them", async () => {
    for (const count of [2n ** 20n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n]) {
      for (const at of [8, 16]) {
        const bytes = Buffer.from(stories);
        bytes.writeBigUInt64LE(count, at);
        expect(["gguf-malformed", "gguf-truncated"]).toContain((await refusal(bytes)).code);
      }
      const long = changed((raw) => (raw.keys[15]!.count = count));
      expect(["gguf-malformed", "gguf-truncated"]).toContain((await refusal(long)).code);
    }
  });
});
