import type { JobProfile } from "../plan/job.js";
import { estimateOf, type JobEstimate, measureLines } from "./estimate.js";
import { glanceLimits } from "./input/read-ahead.js";
import type { BatchSource } from "./input/source.js";
import type { AnswerOptions, BatchItem } from "./request.js";

/** Tokens of an answer that nothing limits: as many as it may have, so contexts are as long as usual. */
const usualContext = 4096;
/** What prompt formats add to a conversation; and the longest text may not be the one of most tokens. */
const formatTokens = 64;
const uncertainty = 1.1;

/**
 * What the requests of an input are like, from those at its beginning. Where there are more than were read, a later one may
 * be longer: contexts are then twice as long as the longest that was seen, up to the usual length. Undefined where
 * no line can be read.
 */
export async function profileOf(
  source: BatchSource,
  tokenize: (text: string) => Promise<Int32Array>,
  options: {
    defaults: AnswerOptions;
    expectedTokens: number;
    kind?: "text" | "embedding";
    /** The most that a context can have. */
    contextLength?: number | undefined;
  },
): Promise<JobProfile | undefined> {
  const reading = new Beginning(source);
  const lines = await measureLines(reading.items(), tokenize, options);
  return profileOfLines(estimateOf(lines, options.contextLength), reading.isWhole);
}

/** The same from lines that were measured already: all of an input, or its beginning. */
export function profileOfLines(lines: JobEstimate, isWhole: boolean): JobProfile | undefined {
  const { requests } = lines;
  if (requests === 0) return undefined;
  const seen = uncertainty * lines.longestTokens + formatTokens;
  const longer = isWhole ? seen : Math.max(seen, Math.min(usualContext, 2 * seen));
  return {
    promptTokens: Math.max(1, Math.round(lines.promptTokens / requests)),
    answerTokens: lines.isEmbedding ? 0 : Math.max(1, Math.round(lines.outputTokens / requests)),
    longest: Math.ceil(lines.areLimited ? longer : Math.max(longer, usualContext)),
    ...(isWhole && { requests }),
  };
}

/** The first lines of an input. */
class Beginning {
  isWhole = false;

  constructor(private readonly source: BatchSource) {}

  async *items(): AsyncGenerator<BatchItem, void, void> {
    let lines = 0;
    for await (const item of this.source.items()) {
      if (lines++ >= glanceLimits.lines || this.source.readBytes > glanceLimits.bytes) return;
      yield item;
    }
    this.isWhole = this.source.totalBytes !== undefined;
  }
}
