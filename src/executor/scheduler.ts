import type { Run } from "../engine/protocol.js";
import type { Sequence } from "./sequence.js";
import type { Speculator } from "./speculation.js";
import type { StepTiming } from "./timing.js";

export interface SchedulerOptions {
  /** Tokens in one micro-batch. */
  microBatch: number;
  /** Tokens with logits in one micro-batch. */
  outputs: number;
  /** Most tokens of one sequence. */
  contextLength: number;
  /** Undefined where speculation is off. */
  speculator: Speculator | undefined;
  timing: StepTiming;
  /** Prompts and answers are computed again in the micro-batches that they were computed in at first. */
  exact?: boolean;
}

/** Longest pause between two tokens that prefill may cause to a running interactive sequence, milliseconds. */
const interactivePauseMs = 200;
/** ggml's CPU attention is a matrix product from 64 tokens per stream on (GGML_FA_TILE_Q), and a fifth slower below. */
const leastShare = 64;
/** Fewest tokens of prefill in a step, however slow the machine: it must end some time. */
const leastPrefill = 16;
/** With more sequences than this a micro-batch is full of work as it is, and guessing only adds to it. */
const speculatingSequences = 4;

/**
 * Chooses what the next micro-batch computes. Every running sequence that is ready gets its token first; prompts share
 * what is left of the micro-batch, as many whole ones as fit. A person's chat comes before a job's prompts.
 */
export function scheduleRuns(
  running: readonly Sequence[],
  options: SchedulerOptions,
): { sequence: Sequence; run: Run }[] {
  const decoding = running.filter((sequence) => !sequence.isPrefilling);
  const prefilling = running.filter((sequence) => sequence.isPrefilling);
  const picked: { sequence: Sequence; run: Run }[] = [];
  let tokens = options.microBatch;
  let outputs = options.outputs;

  for (const sequence of decoding) {
    const draft =
      options.speculator && prefilling.length === 0
        ? draftFor(sequence, decoding, options, tokens, outputs)
        : undefined;
    const run = decodeRun(sequence, draft);
    if (run.tokens.length > tokens || run.outputs > outputs) break;
    tokens -= run.tokens.length;
    outputs -= run.outputs;
    picked.push({ sequence, run });
  }

  if (decoding.some(({ rank }) => rank === 0)) {
    const affordable = options.timing.prefillTokensIn(interactivePauseMs) ?? options.microBatch / 4;
    tokens = Math.min(tokens, Math.max(leastPrefill, Math.floor(affordable)));
  }
  // Ready sequences and those that prefill share a first part of one token each, where their ids follow on each other.
  const least = decoding.length > 0 ? leastShare + 1 : leastShare;
  for (const { sequence, share } of shares(prefilling, tokens, least)) {
    const run = prefillRun(sequence, share, outputs, options.exact ?? false);
    if (run.tokens.length === 0) continue;
    outputs -= run.outputs;
    picked.push({ sequence, run });
  }
  // Micro-batches are formed over rising sequence ids.
  return picked.sort((a, b) => a.run.sequence - b.run.sequence);
}

/**
 * Whether the step after this one is as good as known: all sequences only decode, none ends for certain with this token,
 * and there is nothing to guess.
 */
export function nextStepIsKnown(
  picked: readonly { sequence: Sequence; run: Run }[],
  options: SchedulerOptions,
): boolean {
  return picked.every(({ sequence, run }) => {
    const left = (sequence.request.maxTokens ?? options.contextLength) - sequence.generated;
    const room = options.contextLength - sequence.tokens.length;
    const decodes = run.mode === "verify" && run.tokens.length === 1 && run.outputs === 1;
    if (!decodes || left <= 1 || room <= 1) return false;
    if (picked.length > speculatingSequences || !options.speculator) return true;
    return options.speculator.draft(sequence, picked.length, room - 1).length === 0;
  });
}

function draftFor(
  sequence: Sequence,
  decoding: readonly Sequence[],
  options: SchedulerOptions,
  tokens: number,
  outputs: number,
): Int32Array | undefined {
  if (decoding.length > speculatingSequences) return undefined;
  const { maxTokens } = sequence.request;
  const wanted = maxTokens === undefined ? Number.POSITIVE_INFINITY : maxTokens - sequence.generated - 1;
  const room = options.contextLength - sequence.tokens.length - 1;
  const spare = Math.min(tokens, outputs) - decoding.length;
  return options.speculator?.draft(sequence, decoding.length, Math.min(wanted, spare, room));
}

function decodeRun(sequence: Sequence, draft: Int32Array | undefined): Run {
  const { tokens, computed } = sequence;
  if (!draft || draft.length === 0) return runOf(sequence, tokens.view(computed), 1, "verify");
  const guessed = new Int32Array(1 + draft.length);
  guessed[0] = tokens.at(computed);
  guessed.set(draft, 1);
  return runOf(sequence, guessed, guessed.length, "verify");
}

/** The next part of a sequence's pending tokens; where it is the last part, its last token gives logits. */
function prefillRun(sequence: Sequence, share: number, outputs: number, exact: boolean): Run {
  const { tokens, computed, replayFrom, promptLength } = sequence;
  let end = Math.min(computed + share, tokens.length);
  if (exact) end = computed < promptLength ? Math.min(end, promptLength) : computed + 1;
  if (replayFrom === undefined) {
    const last = end === tokens.length;
    if (last && outputs === 0) end--;
    return runOf(sequence, tokens.view(computed, end), end === tokens.length ? 1 : 0, "verify");
  }
  // A replayed sampler chooses again at every position from the prompt's last token on.
  const firstOutput = Math.max(computed, replayFrom);
  end = Math.min(end, firstOutput + outputs);
  const run = runOf(sequence, tokens.view(computed, end), Math.max(0, end - firstOutput), "replay");
  if (end < tokens.length) run.next = tokens.at(end);
  return run;
}

function runOf(sequence: Sequence, tokens: Int32Array, outputs: number, mode: Run["mode"]): Run {
  const run: Run = {
    sequence: sequence.slotId!,
    position: sequence.computed,
    tokens: tokens.slice(),
    outputs,
    mode,
  };
  if (sequence.samplerId !== undefined) run.sampler = sequence.samplerId;
  if (sequence.request.logprobs !== undefined) run.logprobs = sequence.request.logprobs;
  return run;
}

/**
 * Divides a number of tokens among prefilling sequences: the first priority class first, the first come first within it,
 * whole prompts only. Micro-batches over several KV streams are formed from equal numbers of tokens per sequence, so
 * each length is a pass over the weights of its own: a prompt that is cut needs one more, and passes few prompts
 * from its equal part of the micro-batch. Only the first come of a class is cut where it is too long, to no less than
 * that part (and `least` tokens), so that it gets on while shorter ones overtake it.
 */
function shares(
  prefilling: readonly Sequence[],
  tokens: number,
  least: number,
): { sequence: Sequence; share: number }[] {
  const ordered = prefilling.toSorted((a, b) => a.rank - b.rank || a.admission - b.admission);
  const result: { sequence: Sequence; share: number }[] = [];
  let left = tokens;
  let start = 0;
  while (start < ordered.length && left > 0) {
    let end = start;
    while (end < ordered.length && ordered[end]!.rank === ordered[start]!.rank) end++;
    const [first, ...others] = ordered.slice(start, end) as [Sequence, ...Sequence[]];
    const part = Math.min(first.pending, Math.max(least, Math.floor(left / (end - start))));
    // Of what a higher class leaves, less than a part is not worth a pass.
    if (part > left && result.length > 0) break;
    const isWhole = first.pending <= left;
    const reserved = isWhole ? first.pending : Math.min(part, left);
    left -= reserved;
    const whole: typeof result = [];
    for (const sequence of others) {
      if (sequence.pending > left) continue;
      whole.push({ sequence, share: sequence.pending });
      left -= sequence.pending;
    }
    result.push({ sequence: first, share: isWhole ? reserved : reserved + left }, ...whole);
    if (!isWhole) left = 0;
    start = end;
  }
  return result;
}
