import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { describeModel } from "../../src/cli/inspect-text.js";
import { asJson, inspect } from "../../src/cli/inspection.js";
import { parseRaw, serialiseRaw, stringType, u32 } from "./raw.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();

describe("jauge inspect", () => {
  it("describes the embedded model as text and as JSON", async () => {
    const inspection = await inspect(storiesPath);
    const text = [...describeModel(inspection, true)].join("\n");
    for (const part of ["stories260K", "blk.0–4", "token_embd.weight", "64 × 512", "tokenizer.ggml.tokens"])
      expect(text).toContain(part);
    const json = JSON.parse(JSON.stringify(asJson(inspection)));
    expect(json).toMatchObject({ path: storiesPath, version: 3, runnable: true, outline: { layers: 5 } });
    expect(json.tensors).toHaveLength(47);
    expect(json.layers).toHaveLength(5);
    expect(json.metadata["llama.block_count"]).toEqual({ type: "uint32", value: 5 });
    expect(json.metadata["tokenizer.ggml.tokens"]).toMatchObject({ count: 512, elementType: "string" });
    expect(json.metadata["tokenizer.ggml.tokens"].items).toBeUndefined();
    const bytes = json.tensors.reduce((sum: number, tensor: { bytes: number }) => sum + tensor.bytes, 0);
    expect(bytes).toBe(json.outline.bytes.total);
  });

  it("describes a model that cannot be run, and says why", async () => {
    const raw = parseRaw(await readFile(storiesPath));
    raw.keys.find(({ key }) => key.toString() === "llama.context_length")!.payload = u32(0);
    const inspection = await inspect(await temporary.file("sick.gguf", serialiseRaw(raw)));
    expect(inspection.refusal?.code).toBe("gguf-invalid");
    expect([...describeModel(inspection, false)].join("\n")).toContain("llama.context_length");
  });

  it("shows a file's texts without what could steer a terminal", async () => {
    const raw = parseRaw(await readFile(storiesPath));
    const name = {
      key: Buffer.from("general.\u001b[2Jkey"),
      payload: Buffer.from("\u001b]0;title\u0007\n\u202etxt"),
    };
    raw.keys.push({ ...name, type: stringType, elementType: stringType, count: 1n });
    const inspection = await inspect(await temporary.file("control.gguf", serialiseRaw(raw)));
    for (const line of describeModel(inspection, true)) expect(line).not.toMatch(/\p{C}/u);
  });
});
