// A process that does one job with libllama loaded plainly: no plan, one sequence, the library's own defaults.
import koffi from "koffi";
import { openLibllama } from "./libllama.mjs";

process.once("message", (job) => {
  process.send(jobs[job.kind](openModel(job), job), () => process.exit(0));
});

function openModel({ libraries, modelPath, gpuLayers, threads, context: contextSettings, adapters }) {
  const native = openLibllama(libraries);
  const model = native.llama_model_load_from_file(modelPath, {
    ...native.llama_model_default_params(),
    n_gpu_layers: gpuLayers,
  });
  const context = native.llama_init_from_model(model, {
    ...native.llama_context_default_params(),
    n_threads: threads,
    n_threads_batch: threads,
    ...contextSettings,
  });
  if (adapters?.length) {
    const pointers = adapters.map(({ path }) => native.llama_adapter_lora_init(model, path));
    const scales = Float32Array.from(adapters, ({ scale }) => scale);
    native.llama_set_adapters_lora(context, pointers, pointers.length, scales);
  }
  const vocab = native.llama_model_get_vocab(model);
  return { native, model, context, vocab, vocabularySize: native.llama_vocab_n_tokens(vocab) };
}

const jobs = {
  tokenize: (plain, { prompts }) => prompts.map((prompt) => tokensOf(plain, prompt)),
  greedy: (plain, { prompts, count }) =>
    prompts.map((prompt) => {
      const chosen = [];
      let next = start(plain, prompt);
      while (chosen.length < count) {
        const token = argmax(decode(plain, next));
        chosen.push(token);
        next = Int32Array.of(token);
      }
      return chosen;
    }),
  logits: (plain, { prompts }) => prompts.map((prompt) => decode(plain, start(plain, prompt))),
  embeddings: (plain, { prompts, pooled }) =>
    prompts.map((prompt) => {
      compute(plain, start(plain, prompt));
      const { native, context, model } = plain;
      const address = pooled
        ? native.llama_get_embeddings_seq(context, 0)
        : native.llama_get_embeddings_ith(context, -1);
      return floats(address, native.llama_model_n_embd(model));
    }),
  /** What a native sampler chain chooses, step by step, over given logits. */
  sample: (plain, { chain, grammar, history, logits }) => {
    const { native, vocab } = plain;
    const sampler = native.llama_sampler_chain_init({ no_perf: true });
    for (const link of chain) native.llama_sampler_chain_add(sampler, makeSampler(plain, link));
    const grammarSampler = grammar && native.llama_sampler_init_grammar(vocab, grammar, "root");
    for (const token of history) native.llama_sampler_accept(sampler, token);
    return logits.map((row) => {
      let token = apply(plain, [sampler], row);
      // The grammar only where it forbids the first choice, then over all candidates, as common/sampling.cpp does.
      if (grammarSampler && !allows(plain, grammarSampler, token))
        token = apply(plain, [grammarSampler, sampler], row);
      native.llama_sampler_accept(sampler, token);
      if (grammarSampler) native.llama_sampler_accept(grammarSampler, token);
      return token;
    });
  },
};

/** Empties the context; returns the prompt's tokens. */
function start(plain, prompt) {
  const { native, context } = plain;
  native.llama_memory_clear(native.llama_get_memory(context), true);
  return tokensOf(plain, prompt);
}

function tokensOf({ native, vocab }, prompt) {
  if (typeof prompt !== "string") return Int32Array.from(prompt);
  const text = Buffer.from(prompt);
  const tokens = new Int32Array(text.length + 8);
  return tokens.slice(0, native.llama_tokenize(vocab, text, text.length, tokens, tokens.length, true, true));
}

function compute({ native, context }, tokens) {
  const status = native.llama_decode(context, native.llama_batch_get_one(tokens, tokens.length));
  if (status !== 0) throw new Error(`llama_decode: ${status}`);
}

/** The logits behind the last token. */
function decode(plain, tokens) {
  compute(plain, tokens);
  return floats(plain.native.llama_get_logits_ith(plain.context, -1), plain.vocabularySize);
}

function floats(address, count) {
  return Float32Array.from(koffi.decode(address, koffi.array("float", count)));
}

function argmax(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}

function makeSampler({ native, vocab, vocabularySize }, [name, ...settings]) {
  const make = native[`llama_sampler_init_${name}`];
  switch (name) {
    case "penalties":
      return make(vocabularySize, ...settings);
    case "dry": {
      const breakers = settings.pop();
      return make(vocab, ...settings, breakers, breakers.length);
    }
    case "logit_bias": {
      const bytes = Buffer.alloc(settings.length * 8);
      settings.forEach(([token, bias], index) => {
        bytes.writeInt32LE(token, index * 8);
        bytes.writeFloatLE(bias, index * 8 + 4);
      });
      return make(vocabularySize, settings.length, bytes);
    }
    default:
      return make(...settings);
  }
}

/** Applies samplers in turn to fresh candidates; returns the token that the last one selects. */
function apply({ native }, samplers, logits) {
  // llama_token_data { int32 id; float logit; float p }
  const data = Buffer.alloc(logits.length * 12);
  logits.forEach((logit, token) => {
    data.writeInt32LE(token, token * 12);
    data.writeFloatLE(logit, token * 12 + 4);
  });
  const candidates = { data, size: logits.length, selected: -1, sorted: false };
  for (const sampler of samplers) native.llama_sampler_apply(sampler, candidates);
  const selected = Number(candidates.selected);
  if (selected < 0) throw new Error("the chain selected nothing");
  return data.readInt32LE(selected * 12);
}

function allows({ native }, grammar, token) {
  const data = Buffer.alloc(12);
  data.writeInt32LE(token, 0);
  data.writeFloatLE(1, 4);
  native.llama_sampler_apply(grammar, { data, size: 1, selected: -1, sorted: false });
  return data.readFloatLE(4) !== Number.NEGATIVE_INFINITY;
}
