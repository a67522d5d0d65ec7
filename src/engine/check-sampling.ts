import { JaugeError } from "../errors.js";
import { localized } from "../messages/locale.js";
import { samplingProblems } from "../messages/sampling-problems.js";
import type { SamplingSettings } from "./sampling.js";

const problems = localized(samplingProblems);

/** Holds sampling settings to what the samplers accept. Errors: `sampling-invalid`, naming the field. */
export function checkSampling(settings: SamplingSettings, vocabularySize: number): void {
  for (const [field, [least, most, whole]] of Object.entries(ranges) as [keyof typeof ranges, Range][]) {
    const value = settings[field];
    if (typeof value !== "number" || !(value >= least && value <= most)) {
      throw invalid(field, problems.outside({ value, least, most }));
    }
    if (whole && !Number.isInteger(value)) throw invalid(field, problems.notWhole({ value }));
  }
  if (settings.mirostat !== 0 && settings.mirostat !== 2)
    throw invalid("mirostat", problems.neither({ value: settings.mirostat, one: 0, other: 2 }));
  const { seed } = settings;
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0 && seed <= 0xffff_fffe)) {
    throw invalid("seed", problems.notWholeFrom({ value: seed, least: 0, most: 0xffff_fffe }));
  }
  for (const [token, bias] of settings.logitBias) {
    if (!Number.isInteger(token) || token < 0 || token >= vocabularySize) {
      throw invalid("logitBias", problems.noToken({ token, last: vocabularySize - 1 }));
    }
    if (Number.isNaN(bias)) throw invalid("logitBias", problems.biasNotNumber({ token }));
  }
}

type Range = [least: number, most: number, whole?: boolean];

const ranges = {
  temperature: [0, 1000],
  dynamicTemperatureRange: [0, 1000],
  dynamicTemperatureExponent: [0, 1000],
  topK: [0, 2 ** 31 - 1, true],
  topP: [0, 1],
  minP: [0, 1],
  typicalP: [0, 1],
  topNSigma: [-1, 1e6],
  penaltyLastN: [-1, 2 ** 24, true],
  repeatPenalty: [1e-3, 1000],
  frequencyPenalty: [-1000, 1000],
  presencePenalty: [-1000, 1000],
  dryMultiplier: [0, 1000],
  dryBase: [1, 1000],
  dryAllowedLength: [0, 2 ** 24, true],
  dryPenaltyLastN: [-1, 2 ** 24, true],
  xtcProbability: [0, 1],
  xtcThreshold: [0, 1],
  mirostatTau: [0, 1000],
  mirostatEta: [0, 1],
} as const satisfies { [Field in keyof SamplingSettings]?: Range };

function invalid(field: keyof SamplingSettings, problem: string): JaugeError {
  return new JaugeError("sampling-invalid", { field, problem });
}
