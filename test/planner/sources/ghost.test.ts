import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { measure } from "../../../src/engine/engine.js";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { readModel } from "../../../src/gguf/model-file.js";
import { validateHeader } from "../../../src/gguf/validate.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import type { Plan } from "../../../src/plan/plan.js";
import { simplePlan } from "../../../src/plan/plan.js";
import { sourceFromConfig } from "../../../src/planner/sources/from-config.js";
import { openSource } from "../../../src/planner/sources/open.js";
import { requantised } from "../../../src/planner/sources/requantised.js";
import { cpu, hasAmx, hasVulkan, vulkan } from "../../engine/harness.js";
import { writeRandomModel } from "../../engine/models.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import { zeros } from "../../gguf/tensors.js";
import { publicConfigs } from "./public-configs.js";
import { writeMamba, writeSmallModel } from "./small-models.js";
import { writeParts } from "./split.js";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });
const temporary = temporaryFolder();
const kinds = Object.keys(publicConfigs);
const settings: Partial<Plan>[] = [{}, { sequences: 3, contextLength: 700, microBatch: 64 }];

let ghosts = 0;
async function ghostFolder(): Promise<string> {
  const folder = temporary.path(`ghost-${ghosts++}`);
  await mkdir(folder);
  return folder;
}

function planOf(modelPath: string, more: Partial<Plan> = {}): Plan {
  return simplePlan({
    modelPath,
    threads: 1,
    contextLength: 512,
    microBatch: 256,
    loadMode: "read",
    ...more,
  });
}

describe("a ghost of a public model", () => {
  it.each(kinds)("is accepted by the engine's dry run, with the bytes of its tensors: %s", async (name) => {
    const source = sourceFromConfig(publicConfigs[name], { name });
    const path = await source.writeGhost(await ghostFolder());
    validateHeader(await readModel(path));
    const [host] = await measure(planOf(path), cpu);
    const duplicated = source.tensors.some((tensor) => tensor.name === "output.weight")
      ? 0
      : source.tensors.find((tensor) => tensor.name === "token_embd.weight")!.bytes;
    // AMX's tiles take a minimum or a sum beside each column of a block.
    const slack = 64 * source.tensors.length + (hasAmx ? source.outline.bytes.total / 16 : 0);
    // on the CPU a tied output matrix is the embedding itself
    expect(host!.weightsBytes).toBeGreaterThanOrEqual(source.outline.bytes.total);
    expect(host!.weightsBytes).toBeLessThanOrEqual(source.outline.bytes.total + duplicated + slack);
    expect(host!.kvBytes).toBeGreaterThan(0);
  });

  it("has its full size, takes next to no disk and little time", async () => {
    const source = sourceFromConfig(publicConfigs["gpt-oss-120b"]);
    const folder = await ghostFolder();
    await source.writeGhost(folder);
    const start = performance.now();
    const path = await source.writeGhost(folder);
    expect(performance.now() - start).toBeLessThan(100);
    const { size, blocks } = await stat(path);
    expect(size).toBeGreaterThan(source.outline.bytes.total);
    expect(blocks * 512).toBeLessThan(4e6);
  });
});

describe("a ghost of a file", () => {
  beforeAll(async () => {
    await writeRandomModel(temporary.path("random.gguf"));
  });

  it.each(["the embedded model", "a random model", ...kinds])(
    "measures as the file does: %s",
    async (name) => {
      const path = await fileOf(name);
      const source = await openSource(path);
      expect(source.path).toBe(path);
      const ghost = await source.writeGhost(await ghostFolder());
      for (const more of settings)
        expect(await measure(planOf(ghost, more), cpu)).toEqual(await measure(planOf(path, more), cpu));
    },
  );

  it("measures as the file does when the file is split", async () => {
    const whole = await fileOf("mixtral-8x7b");
    const [first] = await writeParts(whole, temporary.path("parts"), 3);
    const source = await openSource(first!);
    const ghost = await source.writeGhost(await ghostFolder());
    expect(await measure(planOf(ghost), cpu)).toEqual(await measure(planOf(first!), cpu));
  });

  it("measures as the file does where layers keep a recurrent state", async () => {
    const path = temporary.path("mamba.gguf");
    await writeMamba(path);
    const ghost = await (await openSource(path)).writeGhost(await ghostFolder());
    for (const more of settings) {
      const measured = await measure(planOf(path, more), cpu);
      expect(await measure(planOf(ghost, more), cpu)).toEqual(measured);
      expect(measured[0]!.kvBytes).toBeGreaterThan(0);
    }
  });

  it("keeps hyperparameters, of whatever group, and drops what is text", async () => {
    const { metadata, tensors } = await readModel(storiesPath);
    const path = temporary.path("more.gguf");
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
    const keys = new Map<string, WritableValue>([
      ...metadata.entries(),
      ["xielu.alpha_n", { type: "array", value: { elementType: "float32", items: numbers(5) } }],
      ["llama.long", { type: "array", value: { elementType: "uint32", items: numbers(5000) } }],
      ["other.long", { type: "array", value: { elementType: "uint32", items: numbers(5000) } }],
      ["tokenizer.chat_template", { type: "string", value: "{{ messages }}" }],
      ["general.description", { type: "string", value: "long" }],
    ]);
    await writeGguf(path, { metadata: keys, tensors: tensors.map(zeros) });
    const ghost = await readModel(await (await openSource(path)).writeGhost(await ghostFolder()));
    expect(ghost.metadata.array("xielu.alpha_n")!.items).toEqual(numbers(5));
    expect(ghost.metadata.array("llama.long")!.count).toBe(5000);
    for (const key of [
      "other.long",
      "tokenizer.chat_template",
      "general.description",
      "tokenizer.ggml.tokens",
    ])
      expect(ghost.metadata.has(key), key).toBe(false);
    expect(ghost.metadata.number("llama.vocab_size")).toBe(512);
    expect(ghost.tensors.map(({ name, type, shape }) => [name, type, shape])).toEqual(
      tensors.map(({ name, type, shape }) => [name, type, shape]),
    );
  });

  it("keeps the alignment of the file", async () => {
    const { metadata, tensors } = await readModel(await fileOf("a random model"));
    const path = temporary.path("aligned.gguf");
    const empty = tensors.map((tensor) => ({ ...tensor, data: () => [Buffer.alloc(tensor.bytes)] }));
    await writeGguf(path, { metadata, tensors: empty }, { alignment: 256 });
    const ghost = await readModel(await (await openSource(path)).writeGhost(await ghostFolder()));
    expect(ghost.shards[0]!.alignment).toBe(256);
  });

  it("at another mix measures as the file of that mix would", async () => {
    const path = temporary.path("q4_0.gguf");
    await writeSmallModel(path, "mistral-7b-v0.3", "Q4_0");
    const source = requantised(await openSource(await fileOf("mistral-7b-v0.3")), "Q4_0");
    expect(source.path).toBeUndefined();
    expect(source.outline.fileType).toBe("Q4_0");
    const ghost = await source.writeGhost(await ghostFolder());
    expect(await measure(planOf(ghost), cpu)).toEqual(await measure(planOf(path), cpu));
  });

  // Mesa 22 sometimes crashes in llvmpipe's own queue thread: see test/engine/vulkan.test.ts.
  describe.runIf(hasVulkan)("on a Vulkan device", { retry: 3 }, () => {
    it.each(["the embedded model", "llama-3.2-1b", "gpt-oss-120b", "gemma-2-2b", "qwen1.5-moe-a2.7b"])(
      "measures as the file does: %s",
      async (name) => {
        const path = await fileOf(name);
        const ghost = await (await openSource(path)).writeGhost(await ghostFolder());
        for (const more of [{}, { gpuLayers: 2 }, { kvOffload: false }] as Partial<Plan>[])
          expect(await measure(planOf(ghost, more), vulkan)).toEqual(
            await measure(planOf(path, more), vulkan),
          );
      },
    );
  });
});

const written = new Map<string, Promise<unknown>>();
async function fileOf(name: string): Promise<string> {
  if (name === "the embedded model") return storiesPath;
  if (name === "a random model") return temporary.path("random.gguf");
  const path = join(temporary.path("."), `${name}.gguf`);
  if (!written.has(name)) written.set(name, writeSmallModel(path, name));
  await written.get(name);
  return path;
}
