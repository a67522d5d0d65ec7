import { readGguf } from "../gguf/reader.js";
import type { Plan } from "../plan/plan.js";

/**
 * Bytes that LoRA adapters add beside each tensor of the model, by its name. llama.cpp puts each pair of low-rank
 * matrices into a buffer of the type that holds their tensor (`llama_adapter_lora_init_impl`, llama-adapter.cpp v0.5.0).
 * Errors: those of `readGguf`.
 */
export async function adapterSizes(adapters: Plan["adapters"]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const { path } of adapters) {
    const { tensors } = await readGguf(path);
    for (const { name, bytes } of tensors) {
      const changed = name.replace(/\.lora_[ab]$/, "");
      sizes.set(changed, (sizes.get(changed) ?? 0) + Math.ceil(bytes / alignmentBytes) * alignmentBytes);
    }
  }
  return sizes;
}

/** The greatest alignment of ggml's buffers that matters (CUDA's). */
const alignmentBytes = 128;
