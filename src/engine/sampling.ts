/**
 * How the next token is chosen. Every field at its "off" value, as in `defaultSampling`, is plain greedy
 * decoding where `temperature` is 0. Samplers run in llama.cpp's order: logit bias, penalties, DRY,
 * top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, then the draw.
 */
export interface SamplingSettings {
  /** 0 takes the most probable token. */
  temperature: number;
  /** Range of dynamic temperature around `temperature`; 0 is off. */
  dynamicTemperatureRange: number;
  dynamicTemperatureExponent: number;
  /** 0 is off. */
  topK: number;
  /** 1 is off. */
  topP: number;
  /** 0 is off. */
  minP: number;
  /** 1 is off. */
  typicalP: number;
  /** Negative is off. */
  topNSigma: number;
  /** Tokens that the repeat, frequency and presence penalties look back on; -1 is the context length. */
  penaltyLastN: number;
  /** 1 is off. */
  repeatPenalty: number;
  frequencyPenalty: number;
  presencePenalty: number;
  /** 0 is off. */
  dryMultiplier: number;
  dryBase: number;
  dryAllowedLength: number;
  /** -1 is the context length, 0 off. */
  dryPenaltyLastN: number;
  drySequenceBreakers: string[];
  /** 0 is off. */
  xtcProbability: number;
  xtcThreshold: number;
  /** 2 is mirostat 2.0, which replaces the truncation samplers; 0 is off. */
  mirostat: 0 | 2;
  mirostatTau: number;
  mirostatEta: number;
  /** Added to the logit of each token; -Infinity forbids it. */
  logitBias: [token: number, bias: number][];
  /** Never end before `maxTokens`: forbids the end-of-generation tokens. */
  ignoreEndOfGeneration: boolean;
  /** GBNF grammar that the text must follow. */
  grammar?: string;
  /** Same seed, same text. 0 to 2³² − 2; drawn at random where absent. */
  seed?: number;
}

/** llama.cpp's own defaults. */
export const defaultSampling: SamplingSettings = {
  temperature: 0.8,
  dynamicTemperatureRange: 0,
  dynamicTemperatureExponent: 1,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  typicalP: 1,
  topNSigma: -1,
  penaltyLastN: 64,
  repeatPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  drySequenceBreakers: ["\n", ":", '"', "*"],
  xtcProbability: 0,
  xtcThreshold: 0.1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  logitBias: [],
  ignoreEndOfGeneration: false,
};

/** The most probable token, always. */
export const greedy: SamplingSettings = { ...defaultSampling, temperature: 0 };

/** Whether choosing is a plain maximum over the logits, with nothing to remember between tokens. */
export function isPlainGreedy(settings: SamplingSettings): boolean {
  return (
    settings.temperature <= 0 &&
    settings.mirostat === 0 &&
    !looksBack(settings) &&
    !hasBias(settings) &&
    !settings.grammar
  );
}

function looksBack(s: SamplingSettings): boolean {
  const penalties = s.repeatPenalty !== 1 || s.frequencyPenalty !== 0 || s.presencePenalty !== 0;
  return (s.penaltyLastN !== 0 && penalties) || (s.dryMultiplier !== 0 && s.dryPenaltyLastN !== 0);
}

function hasBias(s: SamplingSettings): boolean {
  return s.logitBias.length > 0 || s.ignoreEndOfGeneration;
}
