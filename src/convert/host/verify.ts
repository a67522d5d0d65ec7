import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { inBackground } from "../../engine/native/ffi.js";
import type { Libraries } from "../../engine/native/libraries.js";
import { openNative } from "../../engine/native/open.js";
import { isJaugeError, JaugeError } from "../../errors.js";
import { readModel } from "../../gguf/model-file.js";
import { validateModel } from "../../gguf/validate.js";
import { writeHollowGguf } from "../../gguf/writer.js";
import { checkOutput } from "../check-output.js";
import type { OutputFile } from "../output-files.js";

/**
 * Reads a written model back: its header, its vocabulary, and then llama.cpp's own loader, which wants every tensor of the
 * architecture in its shape and takes no memory for it. Errors: those of `readModel` and `validateModel`;
 * `conversion-unverified`.
 */
export async function verifyModel(path: string, libraries: Libraries): Promise<void> {
  await validateModel(await readModel(path));
  if (!(await isLoadable(path, libraries))) throw new JaugeError("conversion-unverified", { path, log: "" });
}

/**
 * The same before anything is written: headers are all that it takes. llama.cpp is given files of their full size with
 * holes in place of data; where a system cannot make such files, only `verifyModel` asks it. `source` is its path.
 * Errors: those of `checkOutput`; `source-unloadable`.
 */
export async function rehearse(
  source: string,
  files: readonly OutputFile[],
  libraries: Libraries,
): Promise<void> {
  await checkOutput(source, files);
  const folder = await mkdtemp(join(tmpdir(), "jauge-"));
  try {
    const pathOf = ({ path }: OutputFile) => join(folder, basename(path));
    for (const file of files) await writeHollowGguf(pathOf(file), file);
    if (!(await isLoadable(pathOf(files[0]!), libraries)))
      throw new JaugeError("source-unloadable", { path: source, log: "" });
  } catch (error) {
    if (!isJaugeError(error, "file-unwritable")) throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function isLoadable(path: string, libraries: Libraries): Promise<boolean> {
  const { llama } = openNative(libraries);
  const params = { ...llama.llama_model_default_params(), no_alloc: true, load_mode: 0, n_gpu_layers: 0 };
  const model = await inBackground(llama.llama_model_load_from_file, path, params);
  if (model === null) return false;
  llama.llama_model_free(model);
  return true;
}
