/** What happened, and what to do next. */
export interface ErrorText {
  what: string;
  fix: string;
}
