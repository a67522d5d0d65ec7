/** The command that this process was started with, for a POSIX shell, some of its options left out and others added. */
export function commandAgain(change: { without?: string; add?: string } = {}): string {
  const given = process.argv.slice(2).filter((word) => word !== change.without);
  const words = change.add === undefined || given.includes(change.add) ? given : [...given, change.add];
  return `jauge ${words.map(quoted).join(" ")}`;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
