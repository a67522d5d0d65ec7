import type { WritableValue } from "../gguf/encode.js";
import type { TensorShape } from "../gguf/writer.js";

/**
 * A model as a source gives it: the metadata and the tensors of the GGUF it becomes, before any change of type. Every
 * source (a Hugging Face folder, a checkpoint of Meta's, a GGML file of 2023, a GGUF, one of these with an adapter
 * merged in) opens as one; quantising, writing, resuming and inspecting know nothing else of them.
 */
export interface ConvertibleModel {
  /** Path of the source, as errors name it. */
  readonly path: string;
  /** Its files, where they are others than `path`. */
  readonly files?: readonly string[];
  /** What the source is, for people: `safetensors, LlamaForCausalLM`. */
  readonly format: string;
  /** All keys but `general.file_type` and `general.quantization_version`, which say what the writer made of it. */
  readonly metadata: ReadonlyMap<string, WritableValue>;
  /** In the order llama.cpp's converter writes them. */
  readonly tensors: readonly ConvertibleTensor[];
  /**
   * Differs wherever the source's bytes may differ: names, sizes and change times of its files. A conversion is
   * only ever continued from the same source.
   */
  readonly fingerprint: string;
  /** Whether it says itself what its tokenizer is, so that none can be given. */
  readonly hasTokenizer?: boolean;
  /** What a person should know of it, although it can be converted. */
  readonly notes?: readonly SourceNote[];
  close(): Promise<void>;
}

/** Plain data: `sourceNotes` of the messages has its words. */
export interface SourceNote {
  /** Tokens of a vocabulary that the embedding has no row for. */
  readonly kind: "tokens-left-out";
  /** The file they are in. */
  readonly path: string;
  readonly tokens: number;
  readonly rows: number;
  /** Text of the first of them. */
  readonly first: string;
}

/** `type` is what `readRows` gives; what a file stores is chosen later. */
export interface ConvertibleTensor extends TensorShape {
  /**
   * The type an unquantised file stores this tensor in, where it is not a matter of choice: F32 for norms, biases and
   * what llama.cpp wants exact, or a quantised type that passes through as it is. Absent: as asked.
   */
  readonly keepAs?: "F32" | "F16" | TensorShape["type"];
  /** What blocks these numbers were, where the source has blocks and something is added to what they stand for. */
  readonly dequantisedFrom?: TensorShape["type"];
  /** Most rows that one read should ask for where more would need much memory; absent: any number. */
  readonly rowsPerRead?: number;
  /** Index of the part of a split model that it lies in; absent where there is one file. */
  readonly part?: number;
  /**
   * Fills `target` with whole rows, from `firstRow` on, of all dimensions behind the first laid flat. Reads of one
   * tensor and of many may run at the same time, in any order. Errors: those of the source, naming file and tensor.
   */
  readRows(target: Uint8Array, firstRow: number): Promise<void>;
}
