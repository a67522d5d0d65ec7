/**
 * The `format`s of JSON Schema (2020-12, validation, section 7.3) as regular expressions.
 * Stricter than their definitions in places (no leap seconds, no quoted mail addresses), never looser but for the 29th
 * of February.
 */
export const stringFormats: Record<string, string> = (() => {
  const date =
    "\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|[12]\\d))";
  const clock = "(?:[01]\\d|2[0-3]):[0-5]\\d";
  const time = `${clock}:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]${clock})`;
  const byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  const label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
  const hostname = `${label}(?:\\.${label}){0,8}`;
  const hex = (digits: number) => `[0-9a-fA-F]{${digits}}`;
  const expressions = {
    date,
    time,
    "date-time": `${date}T${time}`,
    duration: "P(?:\\d{1,6}W|\\d{1,6}[YMD]|(?:\\d{1,6}D)?T\\d{1,6}[HMS])",
    uuid: `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`,
    ipv4: `${byte}\\.${byte}\\.${byte}\\.${byte}`,
    hostname,
    email: `[a-zA-Z0-9!#$%&'*+/=?^_\`{|}~-]{1,64}(?:\\.[a-zA-Z0-9!#$%&'*+/=?^_\`{|}~-]{1,64}){0,4}@${hostname}`,
    uri: "[a-zA-Z][a-zA-Z0-9+.-]{0,31}:[a-zA-Z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]+",
  };
  return Object.fromEntries(
    Object.entries(expressions).map(([name, expression]) => [name, `^${expression}$`]),
  );
})();
