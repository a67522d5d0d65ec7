import { inBackground } from "../../engine/native/ffi.js";
import type { Libraries } from "../../engine/native/libraries.js";
import { openNative } from "../../engine/native/open.js";
import { JaugeError } from "../../errors.js";
import { readModel } from "../../gguf/model-file.js";
import { validateModel } from "../../gguf/validate.js";

/**
 * Reads a written model back: its header, its vocabulary, and then llama.cpp's own loader, which wants every tensor of the
 * architecture in its shape and takes no memory for it. Errors: those of `readModel` and `validateModel`;
 * `conversion-unverified`.
 */
export async function verifyModel(path: string, libraries: Libraries): Promise<void> {
  await validateModel(await readModel(path));
  const { llama } = openNative(libraries);
  const params = { ...llama.llama_model_default_params(), no_alloc: true, load_mode: 0, n_gpu_layers: 0 };
  const model = await inBackground(llama.llama_model_load_from_file, path, params);
  if (model === null) throw new JaugeError("conversion-unverified", { path, log: "" });
  llama.llama_model_free(model);
}
