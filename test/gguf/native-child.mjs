// A process that loads GGUF files with llama.cpp alone and answers how that went, so that a crash is seen from outside.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import "../oracles/structures.mjs";

const folder = process.argv[2];
const library = (prefix) =>
  join(
    folder,
    readdirSync(folder).find((name) => name.startsWith(prefix)),
  );
const ggml = koffi.load(library("libggml.v"), { global: true });
const llama = koffi.load(library("libllama.v"));

const loadBackends = ggml.func("void ggml_backend_load_all_from_path(const char * path)");
const modelDefaults = llama.func("llama_model_params llama_model_default_params()");
const contextDefaults = llama.func("llama_context_params llama_context_default_params()");
const loadModel = llama.func(
  "void * llama_model_load_from_file(const char * path, llama_model_params params)",
);
const freeModel = llama.func("void llama_model_free(void * model)");
const newContext = llama.func("void * llama_init_from_model(void * model, llama_context_params params)");
const freeContext = llama.func("void llama_free(void * context)");
const vocabOf = llama.func("void * llama_model_get_vocab(void * model)");
const vocabSize = llama.func("int32_t llama_vocab_n_tokens(void * vocab)");
const tokenize = llama.func(
  "int32_t llama_tokenize(void * vocab, const char * text, int32_t length, _Out_ int32_t * tokens, int32_t most, bool special, bool parse)",
);
const tokenToPiece = llama.func(
  "int32_t llama_token_to_piece(void * vocab, int32_t token, _Out_ uint8_t * piece, int32_t length, int32_t strip, bool special)",
);
const batchOne = llama.func("llama_batch llama_batch_get_one(int32_t * tokens, int32_t count)");
const decode = llama.func("int32_t llama_decode(void * context, llama_batch batch)");
const encode = llama.func("int32_t llama_encode(void * context, llama_batch batch)");
const hasEncoder = llama.func("bool llama_model_has_encoder(void * model)");
const hasDecoder = llama.func("bool llama_model_has_decoder(void * model)");
const logitsOf = llama.func("float * llama_get_logits_ith(void * context, int32_t index)");

loadBackends(folder);
const text = "Once upon a time, <s> Zoë \u0000\u0007 said: 你好 🙂";

/** Loads, tokenises, decodes a few tokens greedily, frees. Returns the step that was refused, or undefined. */
function exercise(path) {
  const model = loadModel(path, { ...modelDefaults(), n_gpu_layers: 0 });
  if (!model) return "load";
  try {
    const vocab = vocabOf(model);
    const size = vocabSize(vocab);
    const tokens = new Int32Array(256);
    const length = Buffer.byteLength(text);
    const count = Math.min(32, Math.max(0, tokenize(vocab, text, length, tokens, tokens.length, true, true)));
    const prompt = count > 0 ? tokens.slice(0, count) : Int32Array.of(0);
    const params = {
      ...contextDefaults(),
      n_ctx: 64,
      n_batch: 64,
      n_ubatch: 64,
      n_threads: 1,
      n_threads_batch: 1,
    };
    const context = newContext(model, params);
    if (!context) return "context";
    try {
      if (hasEncoder(model) && encode(context, batchOne(prompt, prompt.length)) !== 0) return "encode";
      if (!hasDecoder(model)) return undefined;
      let next = prompt;
      for (let step = 0; step < 3; step++) {
        if (decode(context, batchOne(next, next.length)) !== 0) return "decode";
        const logits = logitsOf(context, -1);
        if (!logits) return "logits";
        const values = koffi.decode(logits, koffi.array("float", size));
        let best = 0;
        for (let token = 1; token < size; token++) if (values[token] > values[best]) best = token;
        tokenToPiece(vocab, best, new Uint8Array(256), 256, 0, true);
        next = Int32Array.of(best);
      }
      return undefined;
    } finally {
      freeContext(context);
    }
  } finally {
    freeModel(model);
  }
}

process.on("message", (path) => {
  const refusedAt = exercise(path);
  process.send({ refusedAt, peakBytes: process.resourceUsage().maxRSS * 1024 });
});
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
