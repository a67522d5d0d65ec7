/** A part of a file, as an error begins with it. A field that is the file itself is not named twice. */
export function placed({ path, field }: { path: string; field: string }, separator = ": "): string {
  return path.split(/[\\/]/).at(-1) === field ? path : `${path}${separator}${field}`;
}
