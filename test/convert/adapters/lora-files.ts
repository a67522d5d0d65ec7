import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { seeded } from "../../gguf/random.js";
import { safetensorsFile, type WrittenTensor } from "../readers/checkpoint-files.js";

/** A matrix of small random numbers. */
export function randomTensor(shape: number[], seed: number, size = 1): WrittenTensor {
  const random = seeded(seed);
  const count = shape.reduce((product, each) => product * each, 1);
  const values = Float32Array.from({ length: count }, () => (random() - 0.5) * size);
  return { dtype: "F32", shape, data: Buffer.from(values.buffer) };
}

export function valuesOf({ data }: WrittenTensor): Float32Array {
  return new Float32Array(
    data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer,
  );
}

/** Writes the folder of an adapter as PEFT does. */
export async function writeLora(
  folder: string,
  config: Record<string, unknown>,
  tensors: Record<string, WrittenTensor>,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const whole = { peft_type: "LORA", task_type: "CAUSAL_LM", bias: "none", ...config };
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify(whole));
  await writeFile(join(folder, "adapter_model.safetensors"), safetensorsFile(tensors));
  return folder;
}
