import type { QuantizeKernels } from "../../quantize/kernels.js";
import type { Checkpoint } from "../checkpoint.js";
import { openCheckpoint } from "../readers/open-checkpoint.js";
import { openConvertedBase } from "./converted-base.js";
import { type NewRows, withDelta } from "./delta.js";
import { openLora } from "./lora.js";
import { withLora } from "./merge.js";
import { type Heads, inUsualNames } from "./usual-names.js";

/** What is added to the weights of a source while they are read. Plain data. */
export interface AdapterOptions {
  /** The model that the source is a delta of: its folder, a file of its weights, or a LLaMA that is converted already. */
  base?: string;
  /** What the base's rows for new tokens were before the delta was made. */
  newRows?: NewRows;
  /** Folders of LoRA adapters, merged in this order. */
  loras?: readonly { path: string; scale: number }[];
}

/**
 * Opens weights, with what is to be added to them. LLaMA's have the names of transformers where `heads` are given,
 * whatever names the files have. `kernels` turn the blocks of a base that is quantised into numbers. Errors: those of
 * `openCheckpoint`, `openConvertedBase`, `withDelta` and `withLora`.
 */
export async function openAdapted(
  path: string,
  { base, newRows, loras = [] }: AdapterOptions,
  heads?: Heads,
  kernels?: QuantizeKernels,
): Promise<Checkpoint> {
  const open = async (path: string) => {
    const checkpoint = await openCheckpoint(path);
    return heads ? inUsualNames(checkpoint, heads) : checkpoint;
  };
  let checkpoint = await open(path);
  // what is added next, until the sum owns it
  let added: { close(): Promise<void> } | undefined;
  try {
    if (base !== undefined) {
      const whole = (await openConvertedBase(base, path, kernels)) ?? (await open(base));
      added = whole;
      checkpoint = withDelta(whole, checkpoint, newRows);
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
