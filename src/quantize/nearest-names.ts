/** What a regular expression has beside the text that it looks for. */
const notText = /\\[a-z]|\[[^\]]*\]|\{[^}]*\}|[\\^$*+?()|]/gi;
const longestText = 200;

/**
 * The names that a pattern which is found in none of them most likely meant: those that some part of is reached with the
 * fewest letters added, left out or replaced. Of names that differ in their layer alone, the first.
 */
export function nearestNames(pattern: string, names: readonly string[], count: number): string[] {
  const text = pattern.replace(notText, "").slice(0, longestText).toLowerCase();
  const kinds = new Map<string, string>();
  for (const name of names) {
    const kind = name.replace(/\d+/g, "0");
    if (!kinds.has(kind)) kinds.set(kind, name);
  }
  return [...kinds.values()]
    .map((name) => ({ name, changes: changesToPart(text, name) }))
    .sort((a, b) => a.changes - b.changes)
    .slice(0, count)
    .map(({ name }) => name);
}

/** The fewest changes of letters that make `text` some part of `whole` (Sellers, 1980). */
function changesToPart(text: string, whole: string): number {
  // of the text up to here, for parts that end at each letter; the empty text is part of anything
  let before = new Array<number>(whole.length + 1).fill(0);
  for (const [at, letter] of [...text].entries()) {
    const now = [at + 1];
    for (let end = 1; end <= whole.length; end++) {
      const replaced = before[end - 1]! + (whole[end - 1] === letter ? 0 : 1);
      now.push(Math.min(replaced, before[end]! + 1, now[end - 1]! + 1));
    }
    before = now;
  }
  return Math.min(...before);
}
