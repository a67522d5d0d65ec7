import { readFileSync } from "node:fs";

/**
 * How near two tokens' log-probabilities are where either is a right greedy answer, in nats: what a kernel rounds
 * depends on how many tokens share its micro-batch, and that is other after a restart.
 */
export const nearTie = 0.01;

interface Chosen {
  token: string;
  /** By how much it was more probable than the next. */
  lead: number;
}

/** The same requests, each asking for the two most probable tokens of each place. */
export function withAlternatives(lines: readonly string[]): string[] {
  return lines.map((line) => {
    if (!line.endsWith("}")) return line;
    const request = JSON.parse(line);
    if (request.body) request.body.logprobs = 2;
    else Object.assign(request, { logprobs: true, top_logprobs: 2 });
    return JSON.stringify(request);
  });
}

/** By how much each token of each answer led, from the results of such requests. */
export function leadsOf(path: string): Map<string, Chosen[]> {
  const leads = new Map<string, Chosen[]>();
  for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
    const { custom_id: id, response } = JSON.parse(line);
    const logprobs = response?.body.choices[0].logprobs;
    if (!logprobs) continue;
    const places: [string, number[]][] = logprobs.content
      ? logprobs.content.map(
          ({ token, top_logprobs }: { token: string; top_logprobs: { logprob: number }[] }) => [
            token,
            top_logprobs.map(({ logprob }) => logprob),
          ],
        )
      : logprobs.tokens.map((token: string, place: number) => [
          token,
          Object.values(logprobs.top_logprobs[place]),
        ]);
    leads.set(
      id,
      places.map(([token, [first = 0, second = Number.NEGATIVE_INFINITY]]) => ({
        token,
        lead: first - second,
      })),
    );
  }
  return leads;
}

/**
 * Where an answer parts from the expected one, by how much the expected token led there, in nats; nothing where the
 * leads are not those of the expected answer.
 */
export function leadAtParting(leads: readonly Chosen[], expected: string, found: string): number | undefined {
  let before = "";
  for (const { token, lead } of leads) {
    if (!expected.startsWith(before + token)) return undefined;
    before += token;
    if (!found.startsWith(before)) return lead;
  }
  return undefined;
}
