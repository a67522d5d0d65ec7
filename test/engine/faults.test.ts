import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { Engine, measure } from "../../src/engine/engine.js";
import { greedy } from "../../src/engine/sampling.js";
import { load } from "../../src/model.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { greedyTokens, storiesPath } from "../oracles/plain.js";
import {
  clear,
  compute,
  continueWith,
  cpu,
  emptyStep,
  failure,
  hasVulkan,
  openStories,
  storiesPlan,
  vulkan,
} from "./harness.js";
import { writeRandomModel } from "./models.js";

vi.setConfig({ testTimeout: 300_000 });
const temporary = temporaryFolder();

const opening = (settings: Parameters<typeof storiesPlan>[0], options = cpu) =>
  failure(Engine.open(storiesPlan(settings), options));

describe("a load that cannot be", () => {
  it("is of a file that is missing, a folder, a text, or cut short", async () => {
    const whole = await readFile(storiesPath);
    const files = [
      temporary.path("missing.gguf"),
      temporary.path("."),
      await temporary.file("text.gguf", "Once upon a time"),
      await temporary.file("empty.gguf", ""),
      await temporary.file("half.gguf", whole.subarray(0, whole.length / 2)),
      await temporary.file("header.gguf", whole.subarray(0, 3000)),
    ];
    for (const modelPath of files) {
      for (const loadMode of ["read", "mmap", "auto"] as const) {
        const error = await opening({ modelPath, loadMode });
        expect(error, modelPath).toMatchObject({ code: "model-load-failed", facts: { path: modelPath } });
      }
    }
  });

  it("says what the libraries said", async () => {
    const { facts } = await opening({ modelPath: await temporary.file("said.gguf", "no model") });
    expect((facts as { log: string }).log).toMatch(/magic/);
  });

  it("names a device that there is not, and those that there are", async () => {
    expect(await opening({ devices: ["Vulkan9"] })).toMatchObject({
      code: "device-unknown",
      facts: { device: "Vulkan9", known: ["CPU"] },
    });
    expect(await opening({ tensorOverrides: [{ pattern: "ffn", placement: "gpu" }] })).toMatchObject({
      code: "device-unknown",
      facts: { device: "gpu" },
    });
  });

  it("asks for what a plan cannot be", async () => {
    expect(await opening({ sequences: 257 })).toMatchObject({
      code: "plan-invalid",
      facts: { field: "sequences" },
    });
    expect(await opening({ tensorSplit: [1, 1, 1] })).toMatchObject({
      code: "plan-invalid",
      facts: { field: "tensorSplit" },
    });
    const many = Array.from({ length: 10_000 }, () => ({ pattern: "x", placement: "host" }));
    expect(await opening({ tensorOverrides: many })).toMatchObject({
      code: "plan-invalid",
      facts: { field: "tensorOverrides" },
    });
  });

  it("has a pattern that only JavaScript reads", async () => {
    const error = await opening({ tensorOverrides: [{ pattern: "(?<=blk)ffn", placement: "host" }] });
    expect(error.code).toMatch(/^(plan-invalid|model-load-failed)$/);
  });

  it("has a KV cache type that does not fit the model, and says why", async () => {
    const error = await opening({ kvTypeK: "q8_0" });
    expect(error).toMatchObject({ code: "context-failed" });
    expect(error.message).toMatch(/q8_0.*does not divide/);
  });

  it("needs more host memory than there is: it is refused before any is taken", async () => {
    const settings = { contextLength: 2 ** 24, sequences: 127 } as const;
    const errors = [
      await opening(settings),
      await failure(measure(storiesPlan(settings), cpu)),
      await failure(load(storiesPath, { ...settings, backend: "cpu" })),
    ];
    for (const error of errors) {
      expect(error).toMatchObject({ code: "out-of-memory", facts: { device: "host" } });
      const { neededBytes, freeBytes } = error.facts as { neededBytes: number; freeBytes: number };
      expect(freeBytes).toBeLessThan(neededBytes);
    }
  });

  it.runIf(hasVulkan)("needs a KV cache that the device cannot hold", async () => {
    const error = await opening({ contextLength: 2 ** 22 }, vulkan);
    expect(error).toMatchObject({ code: "out-of-memory", facts: { device: "Vulkan0" } });
  });
});

describe("a cancelled load", () => {
  it("before it begins", async () => {
    expect(await opening({}, { ...cpu, signal: AbortSignal.abort() })).toMatchObject({ code: "cancelled" });
  });

  it("while it runs: nothing is left of it", async () => {
    const modelPath = temporary.path("many-tensors.gguf");
    await writeRandomModel(modelPath, { layers: 120, hidden: 128 });
    const controller = new AbortController();
    const seen: number[] = [];
    const onProgress = (fraction: number) => {
      seen.push(fraction);
      controller.abort();
    };
    expect(await opening({ modelPath }, { ...cpu, signal: controller.signal, onProgress })).toMatchObject({
      code: "cancelled",
    });
    expect(seen.length).toBeGreaterThan(0);
  });

  it("tells its progress from 0 to 1 where it is left alone", async () => {
    const seen: number[] = [];
    const engine = await openStories({}, { onProgress: (fraction) => seen.push(fraction) });
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    await engine.close();
  });
});

describe("a host that is killed", () => {
  it("in the middle of a step fails what is pending; the next host gives the same tokens", async () => {
    const engine = await openStories({ sequences: 8 });
    const prompt = await engine.tokenize("Once upon a time");
    const [expected] = await greedyTokens([prompt], 8);
    const long = Int32Array.from({ length: 240 }, (_, index) => 270 + (index % 200));
    const pending = [0, 1, 2, 3].map((sequence) =>
      failure(compute(engine, { sequence, tokens: long, outputs: 0 })),
    );
    process.kill(engine.processId!, "SIGKILL");
    const errors = await Promise.all(pending);
    for (const error of errors)
      expect(error).toMatchObject({ code: "host-crashed", facts: { signal: "SIGKILL" } });
    expect(await failure(compute(engine, { tokens: prompt }))).toMatchObject({ code: "host-crashed" });

    const dead = engine.processId;
    await Promise.all([engine.restart(), engine.restart(), engine.restart()]);
    expect(engine.restarts).toBe(1);
    expect(engine.processId).not.toBe(dead);
    expect((await continueWith(engine, prompt, 8)).tokens).toEqual(expected);
    await engine.restart();
    expect(engine.restarts).toBe(1);
  });

  it("is started again by what needs no KV cache", async () => {
    const engine = await openStories();
    const tokens = await engine.tokenize("Once upon a time");
    process.kill(engine.processId!, "SIGKILL");
    const [text, again, memory] = await Promise.all([
      engine.detokenize(tokens, { removeSpecial: true }),
      engine.tokenize("Once upon a time"),
      engine.memory(),
    ]);
    expect(text.trim()).toBe("Once upon a time");
    expect(again).toEqual(tokens);
    expect(memory).toEqual(engine.info.memory);
    expect(engine.restarts).toBe(1);
  });

  it("by force gives way to a new one", async () => {
    const engine = await openStories();
    const before = engine.processId!;
    await engine.restart({ force: true });
    expect(isRunning(before)).toBe(false);
    expect((await engine.tokenize("a")).length).toBeGreaterThan(0);
  });

  it("while it loads ends the load", async () => {
    const modelPath = temporary.path("many-more-tensors.gguf");
    await writeRandomModel(modelPath, { layers: 120, hidden: 128 });
    const engine = await openStories({ modelPath });
    const restart = failure(engine.restart({ force: true }));
    const before = engine.processId;
    while (engine.processId === before) await new Promise(setImmediate);
    process.kill(engine.processId!, "SIGKILL");
    expect(await restart).toMatchObject({ code: "host-crashed" });
    await engine.restart();
    expect((await engine.tokenize("a")).length).toBeGreaterThan(0);
  });
});

describe("a closed engine", () => {
  it("has no process, answers nothing, and stays closed", async () => {
    const engine = await openStories();
    const tokens = await engine.tokenize("Once upon a time");
    const pid = engine.processId!;
    expect(isRunning(pid)).toBe(true);
    // The first ones may be answered before it is closed; not all of them.
    const pending = Array.from({ length: 100 }, () => failure(compute(engine, { tokens })));
    await engine.close();
    expect(isRunning(pid)).toBe(false);
    expect(await pending.at(-1)).toMatchObject({ code: "host-closed" });
    expect(await failure(engine.tokenize("a"))).toMatchObject({ code: "host-closed" });
    expect(await failure(engine.restart())).toMatchObject({ code: "host-closed" });
    await engine.close();
  });

  it("outlives no parent", async () => {
    const child = fork(fileURLToPath(new URL("orphan-child.mjs", import.meta.url)), [storiesPath]);
    const [pid] = (await once(child, "message")) as [number];
    expect(isRunning(pid)).toBe(true);
    child.kill("SIGKILL");
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

describe("a host that is asked for nonsense", () => {
  it("answers with errors and works on", async () => {
    const engine = await openStories({ microBatch: 32 });
    const pid = engine.processId;
    const tokens = await engine.tokenize("Once upon a time");
    const nonsense = [
      compute(engine, { tokens: Int32Array.of(0, 512) }),
      compute(engine, { tokens: Int32Array.of(-1) }),
      compute(engine, { tokens, sampler: 99 }),
      compute(engine, { tokens, sequence: 5 }),
      compute(engine, { tokens: new Int32Array(33) }),
      compute(engine, { tokens: new Int32Array(0), outputs: 0 }),
      engine.createSampler(1, { ...greedy, grammar: "root ::= (" }, tokens),
      engine.loadState(temporary.path("none"), 0),
    ];
    for (const [index, error] of (await Promise.all(nonsense.map(failure))).entries())
      expect(error.message, `${index}`).not.toBe("it succeeded");
    await clear(engine);
    const [expected] = await greedyTokens([tokens], 4);
    expect((await continueWith(engine, tokens, 4)).tokens).toEqual(expected);
    expect(engine.processId).toBe(pid);
  });

  it("may abort: the parent gets an error and another host", async () => {
    const engine = await openStories();
    const operation = { kind: "remove", sequence: 100_000, from: 0, to: -1 } as const;
    expect(await failure(engine.step({ ...emptyStep, memory: [operation] }))).toMatchObject({
      code: "host-crashed",
      facts: { signal: "SIGABRT", log: expect.stringMatching(/GGML_ASSERT/) },
    });
    await engine.restart();
    expect((await continueWith(engine, await engine.tokenize("Once"), 2)).tokens).toHaveLength(2);
  });

  it("answers many calls at once, each its own", async () => {
    const engine = await openStories();
    const texts = Array.from({ length: 300 }, (_, index) => `Tom had ${index} apples`);
    const tokens = await Promise.all(texts.map((text) => engine.tokenize(text, { addSpecial: false })));
    const back = await Promise.all(tokens.map((some) => engine.detokenize(some)));
    expect(back).toEqual(texts);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
