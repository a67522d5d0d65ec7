import { readFile, stat } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { clear, continueWith, failure, openStories } from "./harness.js";
import { writeRandomModel } from "./models.js";

const temporary = temporaryFolder();
const count = 16;
let engine: Engine;
let prompt: Int32Array;
let expected: number[];
let bytes: Buffer;
beforeAll(async () => {
  engine = await openStories({ sequences: 3 });
  prompt = await engine.tokenize("One day, Lily went to the park with her mom. She");
  const whole = await continueWith(engine, prompt, count);
  expected = whole.tokens;
  await engine.saveState(temporary.path("state"), 0, prompt);
  bytes = await readFile(temporary.path("state"));
});

describe("a saved state", () => {
  it("goes on where it was, in another sequence, another engine", async () => {
    const path = temporary.path("middle");
    await clear(engine);
    const half = await continueWith(engine, prompt, count / 2, { sequence: 1 });
    const text = Int32Array.of(...prompt, ...half.tokens.slice(0, -1));
    const { bytes } = await engine.saveState(path, 1, text);
    expect((await stat(path)).size).toBe(bytes);
    await clear(engine);
    const others = [engine, await openStories({ sequences: 3, contextLength: 128 })];
    for (const other of others) {
      const sequence = other.info.context.sequences - 1;
      const { tokens } = await other.loadState(path, sequence);
      expect(tokens).toEqual(text);
      const rest = await continueWith(other, Int32Array.of(half.tokens.at(-1)!), count / 2, {
        ...{ sequence, position: tokens.length },
      });
      expect([...half.tokens, ...rest.tokens]).toEqual(expected);
    }
  });

  it("passes from a unified cache to one of a single sequence", async () => {
    const unified = await openStories({ sequences: 2, kvLayout: "unified", kvCells: 200 });
    await continueWith(unified, prompt, 1, { sequence: 1 });
    await unified.saveState(temporary.path("unified"), 1, prompt);
    const single = await openStories();
    await single.loadState(temporary.path("unified"), 0);
    const rest = await continueWith(single, Int32Array.of(expected[0]!), count - 1, {
      position: prompt.length,
    });
    expect(rest.tokens).toEqual(expected.slice(1));
  });

  it("replaces what the sequence held, and no other", async () => {
    await clear(engine);
    const path = temporary.path("replace");
    await continueWith(engine, prompt, 1, { sequence: 0 });
    await engine.saveState(path, 0, prompt);
    await continueWith(engine, prompt.slice(0, 6), 1, { sequence: 2 });
    await engine.loadState(path, 2);
    const again = Int32Array.of(expected[0]!);
    for (const sequence of [2, 0]) {
      const rest = await continueWith(engine, again, count - 1, { sequence, position: prompt.length });
      expect(rest.tokens).toEqual(expected.slice(1));
    }
  });
});

describe("a state that cannot be used", () => {
  const damaged: [name: string, make: () => Promise<Uint8Array | string>][] = [
    ["no state at all", async () => "once upon a time"],
    ["an empty file", async () => ""],
    ["a model", async () => readFile(engine.plan.modelPath)],
    ["half of it", async () => bytes.subarray(0, bytes.length / 2)],
    ["all but its last byte", async () => bytes.subarray(0, -1)],
    ["its header alone", async () => bytes.subarray(0, 12)],
    ["a token count beyond the file", async () => patched(8, 0x7fff_ffff)],
    ["more tokens than the context", async () => patched(8, 1000)],
    ["a cell count beyond the file", async () => patched(12 + prompt.length * 4 + 4, 0x7fff_ffff)],
    ["noise behind its header", async () => Buffer.concat([bytes.subarray(0, 12), Buffer.alloc(9000, 0xa7)])],
  ];

  it.each(damaged)("%s: a typed error, and the host lives on", async (name, make) => {
    const path = await temporary.file(`damaged ${name}`, await make());
    await refused(engine, path);
  });

  it("is none", async () => refused(engine, temporary.path("none")));

  it("is of another model", async () => {
    await writeRandomModel(temporary.path("other.gguf"));
    const other = await openStories({ modelPath: temporary.path("other.gguf"), sequences: 3 });
    await refused(other, temporary.path("state"));
  });

  it("is of another KV cache type", async () => {
    await refused(await openStories({ kvTypeK: "f32", sequences: 3 }), temporary.path("state"));
  });

  it("is of another number of KV streams", async () => {
    await refused(await openStories({ sequences: 2 }), temporary.path("state"));
  });

  it("is longer than the sequence may be", async () => {
    await clear(engine);
    const long = Int32Array.from({ length: 300 }, (_, index) => 270 + (index % 200));
    await continueWith(engine, long, 1);
    await engine.saveState(temporary.path("long"), 0, long);
    await refused(await openStories({ contextLength: 256, sequences: 3 }), temporary.path("long"));
  });

  it("cannot be written", async () => {
    expect(await failure(engine.saveState("/nowhere/at/all", 0, prompt))).toMatchObject({
      code: "state-unusable",
      facts: { path: "/nowhere/at/all" },
    });
  });

  async function refused(host: Engine, path: string): Promise<void> {
    const pid = host.processId;
    expect(await failure(host.loadState(path, 0))).toMatchObject({ code: "state-unusable", facts: { path } });
    await clear(host);
    expect((await continueWith(host, prompt.slice(0, 8), 2)).tokens).toHaveLength(2);
    expect(host.processId).toBe(pid);
  }

  function patched(offset: number, value: number): Buffer {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(value, offset);
    return copy;
  }
});
