// A process that quantises as libllama does, or says what it would do: one job after the other, each headed in the
// log by a line of its own. The structs are declared apart from src/: an oracle must not share mistakes.
import { writeSync } from "node:fs";
import koffi from "koffi";

koffi.config({ sync_stack_size: 16 * 2 ** 20 });

// include/llama.h of llama.cpp v0.5.0
const Importance = koffi.struct("llama_model_imatrix_data", {
  name: "const char *",
  data: "float *",
  size: "size_t",
});
const TypeOverride = koffi.struct("llama_model_tensor_override", { pattern: "const char *", type: "int" });
koffi.struct("llama_model_quantize_params", {
  nthread: "int32_t",
  ftype: "int",
  output_tensor_type: "int",
  token_embedding_type: "int",
  allow_requantize: "bool",
  quantize_output_tensor: "bool",
  only_copy: "bool",
  pure: "bool",
  keep_split: "bool",
  dry_run: "bool",
  imatrix: "void *",
  kv_overrides: "void *",
  tt_overrides: "void *",
  prune_layers: "void *",
  max_buf_size: "size_t",
});

process.once("message", ({ libraries, jobs }) => {
  koffi.load(libraries.ggmlBase, { global: true });
  const ggml = koffi.load(libraries.ggml, { global: true });
  const llama = koffi.load(libraries.llama);
  ggml.func("void ggml_backend_load_all_from_path(const char *path)")(libraries.directory);
  const defaults = llama.func("llama_model_quantize_params llama_model_quantize_default_params()")();
  const quantise = llama.func(
    "uint32_t llama_model_quantize(const char *input, const char *output, llama_model_quantize_params *params)",
  );
  const results = jobs.map(
    ({ input, output, fileType, dry, importanceMatrix, importance, tensorTypes, params: given }, index) => {
      writeSync(2, `\n=== job ${index}\n`);
      const params = {
        ...defaults,
        nthread: 1,
        ftype: fileType,
        dry_run: dry,
        allow_requantize: true,
        ...given,
      };
      if (importanceMatrix) params.imatrix = importanceOf(unusedImportance);
      if (importance) params.imatrix = importanceOf(importance);
      if (tensorTypes) params.tt_overrides = overridesOf(tensorTypes);
      return quantise(input, output, params);
    },
  );
  process.send(results, () => process.exit(0));
});

/** A matrix for a tensor that no model has: enough for the rules to know that there is one. */
const unusedImportance = [{ name: "no such tensor", values: [1] }];

function importanceOf(matrices) {
  const entries = koffi.alloc(Importance, matrices.length + 1);
  const encoded = matrices.map(({ name, values }) => {
    const data = koffi.alloc("float", values.length);
    koffi.encode(data, koffi.array("float", values.length), values);
    return { name, data, size: values.length };
  });
  const end = { name: null, data: null, size: 0 };
  koffi.encode(entries, koffi.array(Importance, matrices.length + 1), [...encoded, end]);
  return entries;
}

function overridesOf(wishes) {
  const entries = koffi.alloc(TypeOverride, wishes.length + 1);
  koffi.encode(entries, koffi.array(TypeOverride, wishes.length + 1), [
    ...wishes,
    { pattern: null, type: 0 },
  ]);
  return entries;
}
