import { JaugeError } from "../errors.js";
import { architectures } from "./architectures.js";
import type { ModelFile } from "./model-file.js";

/** Refuses what native code would not survive. */
export async function validateModel(model: ModelFile): Promise<void> {
  const architecture = model.metadata.string("general.architecture") ?? "";
  if (!architectures.has(architecture))
    throw new JaugeError("gguf-architecture-unknown", { path: model.path, architecture });
}
