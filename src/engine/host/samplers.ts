import { JaugeError } from "../../errors.js";
import { checkGrammar } from "../check-grammar.js";
import { NativeArray, type Pointer } from "../native/ffi.js";
import type { Llama } from "../native/llama.js";
import { tokenDataArrayBytes, tokenDataBytes } from "../native/structures.js";
import { isPlainGreedy, type SamplingSettings } from "../sampling.js";
import { argmax } from "./logits.js";
import type { Vocabulary } from "./vocabulary.js";

/** Chooses the next token of one sequence and remembers what was chosen. */
export interface TokenSampler {
  /** The token that these logits lead to. Moves the random state on; remembers nothing of the text. */
  choose(logits: Float32Array): number;
  /** Takes a token into the text that penalties, DRY and the grammar see. */
  accept(token: number): void;
  free(): void;
}

/** The most probable token: no native sampler, no state. */
export const greedySampler: TokenSampler = { choose: argmax, accept() {}, free() {} };

/** The most probable token after a bias on some of them: no native sampler, no state. */
class BiasedGreedySampler implements TokenSampler {
  constructor(private readonly bias: [token: number, bias: number][]) {}

  choose(logits: Float32Array): number {
    const saved = this.bias.map(([token, bias]) => {
      const logit = logits[token]!;
      logits[token] = logit + bias;
      return logit;
    });
    const choice = argmax(logits);
    // Backwards: a token that is biased twice gets its first value back last.
    for (let index = saved.length - 1; index >= 0; index--) logits[this.bias[index]![0]] = saved[index]!;
    return choice;
  }

  accept(): void {}

  free(): void {}
}

/** Makes samplers for one model. All of them share one array of candidates. */
export class SamplerFactory {
  private readonly candidates: Candidates;

  constructor(
    private readonly llama: Llama,
    private readonly vocabulary: Vocabulary,
    private readonly contextLength: number,
  ) {
    this.candidates = new Candidates(vocabulary.size);
  }

  /**
   * A sampler with these settings that has seen `history`, the prompt, for its penalties.
   * Errors: `grammar-invalid`.
   */
  create(settings: SamplingSettings, history: Int32Array): TokenSampler {
    if (isPlainGreedy(settings)) return greedySampler;
    if (isPlainGreedy({ ...settings, logitBias: [], ignoreEndOfGeneration: false })) {
      return new BiasedGreedySampler(this.logitBias(settings));
    }
    const grammar = settings.grammar ? this.grammar(settings.grammar) : undefined;
    const chain = this.chain(settings);
    for (const token of history) this.llama.llama_sampler_accept(chain, token);
    return new ChainSampler(this.llama, this.vocabulary, chain, grammar, this.candidates);
  }

  private grammar(text: string): Pointer {
    checkGrammar(text);
    // To C the text would end there, and a shorter grammar may be a valid one.
    if (text.includes("\0")) throw new JaugeError("grammar-invalid", { log: "" });
    const sampler = this.llama.llama_sampler_init_grammar(this.vocabulary.pointer, text, "root");
    if (sampler === null) throw new JaugeError("grammar-invalid", { log: "" });
    return sampler;
  }

  /** The chain in llama.cpp's order; see `SamplingSettings`. */
  private chain(s: SamplingSettings): Pointer {
    const { llama, vocabulary } = this;
    const chain = llama.llama_sampler_chain_init({ no_perf: true });
    const add = (sampler: Pointer | null) => {
      if (sampler === null) throw new Error("libllama refused a sampler's settings");
      llama.llama_sampler_chain_add(chain, sampler);
    };
    const seed = s.seed ?? 0;
    const lookBack = (last: number) => (last < 0 ? this.contextLength : last);

    const bias = this.logitBias(s);
    if (bias.length > 0)
      add(llama.llama_sampler_init_logit_bias(vocabulary.size, bias.length, packLogitBias(bias)));
    add(
      llama.llama_sampler_init_penalties(
        ...([
          vocabulary.size,
          lookBack(s.penaltyLastN),
          s.repeatPenalty,
          s.frequencyPenalty,
          s.presencePenalty,
        ] as const),
      ),
    );
    if (s.mirostat === 2) {
      add(llama.llama_sampler_init_temp_ext(s.temperature, 0, 1));
      add(llama.llama_sampler_init_mirostat_v2(seed, s.mirostatTau, s.mirostatEta));
      return chain;
    }
    if (s.dryMultiplier !== 0) {
      const breakers = s.drySequenceBreakers;
      add(
        llama.llama_sampler_init_dry(
          ...([vocabulary.pointer, s.dryMultiplier, s.dryBase, s.dryAllowedLength] as const),
          ...([lookBack(s.dryPenaltyLastN), breakers, breakers.length] as const),
        ),
      );
    }
    if (s.temperature <= 0) {
      add(llama.llama_sampler_init_greedy());
      return chain;
    }
    if (s.topNSigma > 0) add(llama.llama_sampler_init_top_n_sigma(s.topNSigma));
    if (s.topK > 0) add(llama.llama_sampler_init_top_k(s.topK));
    if (s.typicalP < 1) add(llama.llama_sampler_init_typical(s.typicalP, 1));
    if (s.topP < 1) add(llama.llama_sampler_init_top_p(s.topP, 1));
    if (s.minP > 0) add(llama.llama_sampler_init_min_p(s.minP, 1));
    if (s.xtcProbability > 0) add(llama.llama_sampler_init_xtc(s.xtcProbability, s.xtcThreshold, 1, seed));
    add(
      llama.llama_sampler_init_temp_ext(
        s.temperature,
        s.dynamicTemperatureRange,
        s.dynamicTemperatureExponent,
      ),
    );
    add(llama.llama_sampler_init_dist(seed));
    return chain;
  }

  private logitBias(s: SamplingSettings): [number, number][] {
    if (!s.ignoreEndOfGeneration) return s.logitBias;
    return [
      ...s.logitBias,
      ...this.vocabulary.endTokens.map((token): [number, number] => [token, Number.NEGATIVE_INFINITY]),
    ];
  }
}

/** `struct llama_logit_bias { int32 token; float bias }`, packed. */
function packLogitBias(bias: [number, number][]): Uint8Array {
  const bytes = new Uint8Array(bias.length * 8);
  const view = new DataView(bytes.buffer);
  bias.forEach(([token, value], index) => {
    view.setInt32(index * 8, token, true);
    view.setFloat32(index * 8 + 4, value, true);
  });
  return bytes;
}

class ChainSampler implements TokenSampler {
  constructor(
    private readonly llama: Llama,
    private readonly vocabulary: Vocabulary,
    private readonly chain: Pointer,
    private readonly grammar: Pointer | undefined,
    private readonly candidates: Candidates,
  ) {}

  /**
   * With a grammar, the choice is made without it first, which nearly always fits and costs nothing;
   * else the grammar masks all candidates and the choice is made again, as llama.cpp's own tools do.
   */
  choose(logits: Float32Array): number {
    const { llama, chain, grammar, candidates } = this;
    candidates.fill(logits);
    llama.llama_sampler_apply(chain, candidates.address);
    const choice = candidates.selected;
    if (grammar === undefined) return choice;
    candidates.fillOne(choice);
    llama.llama_sampler_apply(grammar, candidates.address);
    if (candidates.firstLogit !== Number.NEGATIVE_INFINITY) return choice;
    candidates.fill(logits);
    llama.llama_sampler_apply(grammar, candidates.address);
    llama.llama_sampler_apply(chain, candidates.address);
    // No token of this vocabulary fits the grammar here: the text ends.
    if (candidates.selectedLogit === Number.NEGATIVE_INFINITY) return this.vocabulary.endToken;
    return candidates.selected;
  }

  accept(token: number): void {
    // libllama throws across the language border where a grammar is given a token it does not allow.
    if (this.grammar !== undefined && !this.vocabulary.endsGeneration(token)) {
      this.llama.llama_sampler_accept(this.grammar, token);
    }
    this.llama.llama_sampler_accept(this.chain, token);
  }

  free(): void {
    this.llama.llama_sampler_free(this.chain);
    if (this.grammar !== undefined) this.llama.llama_sampler_free(this.grammar);
  }
}

/** One `llama_token_data_array` over the whole vocabulary, in native memory. */
class Candidates {
  readonly address: Pointer;
  private readonly header: DataView;
  private readonly data: NativeArray<Uint8Array>;
  private readonly ids: Int32Array;
  private readonly logits: Float32Array;

  constructor(private readonly size: number) {
    const header = new NativeArray(Uint8Array, tokenDataArrayBytes);
    this.address = header.address;
    this.header = new DataView(header.view.buffer);
    this.data = new NativeArray(Uint8Array, size * tokenDataBytes);
    this.ids = new Int32Array(this.data.view.buffer);
    this.logits = new Float32Array(this.data.view.buffer);
  }

  fill(logits: Float32Array): void {
    const { ids, logits: target, size } = this;
    for (let token = 0, word = 0; token < size; token++, word += 3) {
      ids[word] = token;
      target[word + 1] = logits[token]!;
    }
    this.reset(size);
  }

  fillOne(token: number): void {
    this.ids[0] = token;
    this.logits[1] = 1;
    this.reset(1);
  }

  /** The token that the chain selected. */
  get selected(): number {
    return this.ids[this.selectedIndex * 3]!;
  }

  get selectedLogit(): number {
    return this.logits[this.selectedIndex * 3 + 1]!;
  }

  private get selectedIndex(): number {
    const index = Number(this.header.getBigInt64(16, true));
    if (index < 0) throw new Error("the sampler chain selected no token");
    return index;
  }

  get firstLogit(): number {
    return this.logits[1]!;
  }

  private reset(size: number): void {
    this.header.setBigUint64(0, this.data.address, true);
    this.header.setBigUint64(8, BigInt(size), true);
    this.header.setBigInt64(16, -1n, true);
    this.header.setUint8(24, 0);
  }
}
