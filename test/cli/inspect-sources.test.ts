import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { sourceAsJson } from "../../src/cli/inspection.js";
import { inspectSource } from "../../src/cli/source-inspection.js";
import { describeSource } from "../../src/cli/source-text.js";
import { legacyFixtures } from "../convert/legacy/fixtures.js";
import { jauge, stories, temporaryFolder } from "./harness.js";

const folder = temporaryFolder();
const torch = fileURLToPath(new URL("../fixtures/torch/zip-protocol-2.pth", import.meta.url));

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };

/** A safetensors file of zeros. */
function safetensors(tensors: Record<string, [dtype: string, shape: number[], bytes: number]>): Buffer {
  let offset = 0;
  const entries: Record<string, Entry> = {};
  for (const [name, [dtype, shape, bytes]] of Object.entries(tensors)) {
    entries[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(offset)]);
}

async function folderOf(name: string, files: Record<string, Buffer | object>): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  for (const [file, content] of Object.entries(files))
    await writeFile(join(path, file), content instanceof Uint8Array ? content : JSON.stringify(content));
  return path;
}

describe("jauge inspect of original weights", () => {
  it("shows a folder of safetensors with its configuration", async () => {
    const weights = safetensors({
      "model.embed_tokens.weight": ["BF16", [5, 4], 40],
      "model.norm.weight": ["F32", [4], 16],
    });
    const config = {
      architectures: ["LlamaForCausalLM"],
      hidden_size: 4,
      rope_scaling: null,
      tie: "\u001b[2J",
    };
    const path = await folderOf("llama", { "model.safetensors": weights, "config.json": config });
    const inspection = await inspectSource(path);
    expect(inspection).toEqual({
      ...{ path, format: "safetensors", architecture: "LlamaForCausalLM", parameters: 24, bytes: 56 },
      configuration: { file: "config.json", values: { hidden_size: 4, tie: "\u001b[2J" } },
      tensors: [
        { name: "model.embed_tokens.weight", type: "BF16", shape: [5, 4], bytes: 40 },
        { name: "model.norm.weight", type: "F32", shape: [4], bytes: 16 },
      ],
    });
    const lines = [...describeSource(inspection, true)];
    const text = lines.join("\n");
    for (const part of ["LlamaForCausalLM", "hidden_size", "5 × 4", "BF16  1 tensor"])
      expect(text).toContain(part);
    for (const line of lines) expect(line).not.toMatch(/\p{C}/u);
    expect([...describeSource(inspection, false)].join("\n")).not.toContain("model.norm.weight");
  });

  it("shows an adapter as what it is", async () => {
    const weights = safetensors({ "base_model.q_proj.lora_A.weight": ["F16", [2, 4], 16] });
    const config = { peft_type: "LORA", r: 2, lora_alpha: 16, base_model_name_or_path: "llama-7b" };
    const modules = { target_modules: ["q_proj", "v_proj"], layers: [], rank_pattern: { a: 1 }, deep: [[1]] };
    const path = await folderOf("adapter", {
      "adapter_model.safetensors": weights,
      "adapter_config.json": { ...config, ...modules },
    });
    const shown = await inspectSource(path);
    expect(shown.configuration!.values).toEqual({ ...config, target_modules: ["q_proj", "v_proj"] });
    expect([...describeSource(shown, false)].join("\n")).toMatch(/target_modules +q_proj, v_proj\n/);
    for (const at of [path, join(path, "adapter_model.safetensors")])
      expect(await inspectSource(at)).toMatchObject({
        ...{ architecture: "LORA", parameters: 8, bytes: 16 },
        configuration: { file: "adapter_config.json", values: { r: 2, lora_alpha: 16 } },
      });
  });

  it("shows what torch.save wrote, with Meta's parameters beside it", async () => {
    const { tensors, format } = await inspectSource(torch);
    expect(format).toBe("torch");
    expect(tensors.length).toBeGreaterThan(3);
    const path = await folderOf("meta", {
      "consolidated.00.pth": await readFile(torch),
      "params.json": { dim: 32 },
    });
    const inspection = await inspectSource(path);
    expect(inspection).toMatchObject({
      configuration: { file: "params.json", values: { dim: 32 } },
      tensors,
    });
    expect(JSON.parse(JSON.stringify(sourceAsJson(inspection)))).toEqual(inspection);
  });

  it("shows a GGML file of 2023 in GGUF's terms", async () => {
    const files = [...legacyFixtures()];
    for (const [name, { bytes }] of files) await writeFile(join(folder, name), bytes);
    // the second parts go with the first
    for (const [name] of files.filter(([name]) => !/\.\d$/.test(name))) {
      const inspection = await inspectSource(join(folder, name));
      expect(inspection.architecture, name).toBe("llama");
      expect(inspection.metadata?.has("tokenizer.ggml.tokens"), name).toBe(true);
      expect(
        inspection.tensors.find((tensor) => tensor.name === "token_embd.weight")?.shape,
        name,
      ).toHaveLength(2);
      expect([...describeSource(inspection, true)].join("\n")).toContain("llama.block_count");
      expect(sourceAsJson(inspection)).toMatchObject({
        metadata: { "llama.block_count": { type: "uint32" } },
      });
    }
  });

  it("is reached by the command, which leaves GGUF files as they were", async () => {
    const path = await folderOf("command", {
      "model.safetensors": safetensors({ weight: ["F16", [3], 6] }),
    });
    const shown = jauge(["inspect", path, "--json"]);
    expect(shown.status).toBe(0);
    expect(JSON.parse(shown.stdout)).toMatchObject({ format: "safetensors", parameters: 3, bytes: 6 });
    const gguf = jauge(["inspect", stories, "--json"]);
    expect(JSON.parse(gguf.stdout)).toMatchObject({ version: 3, runnable: true });
    const nothing = join(folder, "nothing.bin");
    await writeFile(nothing, "this is a text and no weights at all");
    const refused = jauge(["inspect", nothing]);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain("nothing.bin");
    const beside = await folderOf("beside", { "config.json": { model_type: "llama" } });
    const configuration = jauge(["inspect", join(beside, "config.json"), "--json"]);
    expect(JSON.parse(configuration.stdout).error).toMatchObject({
      code: "source-is-configuration",
      facts: { folder: beside },
    });
    const empty = jauge(["inspect", await folderOf("empty", {})]);
    expect(empty.status).toBe(3);
    expect(empty.stderr).toContain("empty");
  });
});
