import { isJaugeError, JaugeError } from "../errors.js";
import { type GgufHeader, readGguf } from "../gguf/reader.js";

/**
 * Refuses a LoRA adapter that would make llama.cpp v0.5.0 abort; what it refuses with an error of its own may pass.
 * Source: llama_adapter_lora_init_impl in src/llama-adapter.cpp. Errors: `adapter-load-failed`.
 */
export async function checkAdapter(path: string): Promise<void> {
  try {
    const problem = problemOf(await readGguf(path));
    if (problem) throw new JaugeError("adapter-load-failed", { path, log: problem });
  } catch (cause) {
    if (!isJaugeError(cause) || cause.code === "adapter-load-failed") throw cause;
    throw new JaugeError("adapter-load-failed", { path, log: cause.message }, { cause });
  }
}

const keyTypes = {
  "general.type": "string",
  "general.architecture": "string",
  "adapter.type": "string",
  "adapter.lora.alpha": "float32",
} as const;

/** What matrices are multiplied with on every device. */
const tensorTypes = new Set(["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"]);

function problemOf({ metadata, tensors }: GgufHeader): string | undefined {
  for (const [key, expected] of Object.entries(keyTypes)) {
    const found = metadata.get(key)?.type;
    if (found !== expected) return `${key}: ${found ?? "missing"}, not ${expected}`;
  }
  for (const { name, type, shape } of tensors) {
    if (!tensorTypes.has(type)) return `${name}: ${type} is no type for an adapter`;
    if (shape.length > 2 || shape.some((size) => size < 1))
      return `${name}: [${shape.join(", ")}] is no matrix`;
  }
  return undefined;
}
