/** The language of what a person reads. */
export type Locale = "en" | "fr";

/**
 * The locale of an environment, by POSIX precedence: LC_ALL, then LC_MESSAGES, then LANG.
 * French for any `fr…` locale, English otherwise.
 */
export function localeOf(environment: NodeJS.ProcessEnv): Locale {
  const name = environment.LC_ALL || environment.LC_MESSAGES || environment.LANG || "";
  return /^fr([_.@-]|$)/i.test(name) ? "fr" : "en";
}

/** The locale of this process, fixed at start. */
export const locale: Locale = localeOf(process.env);

/** Picks this process's language from a pair that has the same keys in both. */
export function localized<T>(messages: { en: T; fr: T }): T {
  return messages[locale];
}
