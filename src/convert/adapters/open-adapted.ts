import type { Checkpoint } from "../checkpoint.js";
import { openCheckpoint } from "../readers/open-checkpoint.js";
import { withDelta } from "./delta.js";
import { openLora } from "./lora.js";
import { withLora } from "./merge.js";

/** What is added to the weights of a source while they are read. Plain data. */
export interface AdapterOptions {
  /** The model that the source is a delta of: its folder, or a file of its weights. */
  base?: string;
  /** Folders of LoRA adapters, merged in this order. */
  loras?: readonly { path: string; scale: number }[];
}

/** Opens weights, with what is to be added to them. Errors: those of `openCheckpoint`, `withDelta` and `withLora`. */
export async function openAdapted(path: string, { base, loras = [] }: AdapterOptions): Promise<Checkpoint> {
  let checkpoint = await openCheckpoint(path);
  // what is added next, until the sum owns it
  let added: { close(): Promise<void> } | undefined;
  try {
    if (base !== undefined) {
      const whole = await openCheckpoint(base);
      added = whole;
      checkpoint = withDelta(whole, checkpoint);
      added = undefined;
    }
    for (const { path, scale } of loras) {
      const adapter = await openLora(path);
      added = adapter;
      checkpoint = withLora(checkpoint, adapter, scale);
      added = undefined;
    }
    return checkpoint;
  } catch (error) {
    await Promise.all([checkpoint.close(), added?.close()]);
    throw error;
  }
}
