import type { ModelOutline } from "../gguf/outline.js";
import type { TensorTypeName } from "../gguf/tensor-types.js";

/**
 * All that a plan needs of a model, without its weights: from a file here, a header fetched over HTTP, or the
 * configuration of a model that is not converted yet.
 */
export interface ModelSource {
  /** Path, URL or name, as the person gave it. */
  source: string;
  /** The GGUF on this disk (first part of a split one); absent where there is none. */
  path?: string;
  outline: ModelOutline;
  /** In file order. */
  tensors: SourceTensor[];
  /** SHA-256 (hex) over architecture, metadata scalars and the tensor list. */
  fingerprint: string;
  /**
   * Writes a GGUF that has this model's hyperparameters and tensor list, no vocabulary (`tokenizer.ggml.model` = `none`)
   * and no data (a sparse file): the engine measures it in a dry run as it would the real one, faster.
   * Returns the path of the file to open; its folder is removed by the caller.
   */
  writeGhost(folder: string): Promise<string>;
}

export interface SourceTensor {
  name: string;
  type: TensorTypeName;
  /** Row length first. */
  shape: number[];
  bytes: number;
  /** Index of the file of a split model, and where the data starts in it. */
  shard: number;
  fileOffset: number;
}
