import { JaugeError } from "../errors.js";
import { architectures, parts } from "./architectures.js";
import { invalid, problems } from "./invalid.js";
import type { ModelFile } from "./model-file.js";
import { validateCompanions } from "./validate-companions.js";
import { validateHyperparameters } from "./validate-hyperparameters.js";
import { validateTensors } from "./validate-tensors.js";
import { validateVocabulary } from "./validate-vocabulary.js";

/**
 * Refuses a model that would make llama.cpp v0.5.0 abort, crash, hang or allocate without bound. What llama.cpp
 * refuses with an error of its own (tensors that are missing or of the wrong shape, keys it needs) may pass.
 *
 * Reads the vocabulary once, in chunks. Errors: `gguf-architecture-unknown`, `gguf-invalid`, `gguf-malformed`.
 */
export async function validateModel(model: ModelFile): Promise<void> {
  validateHeader(model);
  await validateVocabulary(model);
}

/** As `validateModel`, without the vocabulary: all that a plan depends on, and nothing has to be read again. */
export function validateHeader(model: ModelFile): void {
  if (model.shards.some(({ version }) => version === 1))
    throw new JaugeError("gguf-version-one", { path: model.path });
  const field = "general.architecture";
  const architecture = model.metadata.string(field);
  if (architecture === undefined) throw invalid(model, field, problems.missing());
  const type = model.metadata.string("general.type");
  if (type !== undefined && type !== "model") throw invalid(model, "general.type", problems.noWeights());
  if (parts.has(architecture)) throw invalid(model, field, problems.noWeights());
  if (!architectures.has(architecture))
    throw new JaugeError("gguf-architecture-unknown", { path: model.path, architecture });
  validateHyperparameters(model, architecture);
  validateTensors(model);
  validateCompanions(model, architecture);
}
