import { adapterErrors } from "./messages/adapters.js";
import { batchErrors } from "./messages/batch.js";
import { checkpointErrors } from "./messages/checkpoint.js";
import { cliErrors } from "./messages/cli-errors.js";
import { compareErrors } from "./messages/compare.js";
import { convertErrors } from "./messages/convert.js";
import { doctorErrors } from "./messages/doctor.js";
import { engineErrors } from "./messages/engine.js";
import type { ErrorText } from "./messages/error-text.js";
import { executorErrors } from "./messages/executor.js";
import { ggufErrors } from "./messages/gguf.js";
import { hardwareErrors } from "./messages/hardware.js";
import { legacyErrors } from "./messages/legacy.js";
import { locale } from "./messages/locale.js";
import { planErrors } from "./messages/plan.js";
import { promptErrors } from "./messages/prompt.js";
import { sourceErrors } from "./messages/source.js";
import { tokenizerErrors } from "./messages/tokenizer.js";
import { weightsErrors } from "./messages/weights.js";

const catalogue = {
  en: {
    ...compareErrors.en,
    ...{ ...ggufErrors.en, ...engineErrors.en, ...executorErrors.en, ...promptErrors.en, ...cliErrors.en },
    ...batchErrors.en,
    ...{ ...hardwareErrors.en, ...doctorErrors.en, ...sourceErrors.en, ...planErrors.en },
    ...weightsErrors.en,
    ...adapterErrors.en,
    ...checkpointErrors.en,
    ...tokenizerErrors.en,
    ...convertErrors.en,
    ...legacyErrors.en,
  },
  fr: {
    ...compareErrors.fr,
    ...{ ...ggufErrors.fr, ...engineErrors.fr, ...executorErrors.fr, ...promptErrors.fr, ...cliErrors.fr },
    ...batchErrors.fr,
    ...{ ...hardwareErrors.fr, ...doctorErrors.fr, ...sourceErrors.fr, ...planErrors.fr },
    ...weightsErrors.fr,
    ...adapterErrors.fr,
    ...checkpointErrors.fr,
    ...tokenizerErrors.fr,
    ...convertErrors.fr,
    ...legacyErrors.fr,
  },
};
type Catalogue = (typeof catalogue)["en"];

/** Every error that jauge raises for a reason a person can act on. */
export type ErrorCode = keyof Catalogue;
/** The facts an error of this code states: paths, sizes, names. Plain data, so it crosses processes. */
export type ErrorFacts<Code extends ErrorCode> = Parameters<Catalogue[Code]>[0];

/** An error with a code, what happened, and what to do next. Its facts survive a trip between processes. */
export class JaugeError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "JaugeError";
  readonly code: Code;
  readonly facts: ErrorFacts<Code>;
  /** What the person can do about it. */
  readonly fix: string;

  constructor(code: Code, facts: ErrorFacts<Code>, options?: { cause?: unknown }) {
    const render = catalogue[locale][code] as (facts: ErrorFacts<Code>) => ErrorText;
    const text = render(facts);
    super(text.what, options);
    this.code = code;
    this.facts = facts;
    this.fix = text.fix;
  }

  toJSON(): { code: Code; message: string; fix: string; facts: ErrorFacts<Code> } {
    return { code: this.code, message: this.message, fix: this.fix, facts: this.facts };
  }
}

/** Whether `error` is a JaugeError, of this code where one is given. */
export function isJaugeError<Code extends ErrorCode>(error: unknown, code?: Code): error is JaugeError<Code> {
  return error instanceof JaugeError && (code === undefined || error.code === code);
}
