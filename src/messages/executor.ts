import type { ErrorText } from "./error-text.js";

const en = {
  "prompt-empty": (_: Record<string, never>): ErrorText => ({
    what: "The prompt is empty",
    fix: "Give at least one token to continue from.",
  }),
  "request-too-long": (f: { tokens: number; contextLength: number }): ErrorText => ({
    what: `The prompt has ${f.tokens} tokens; the context holds ${f.contextLength}`,
    fix: "Shorten the prompt, or raise the context length (-c, --ctx-size).",
  }),
};

const fr: typeof en = {
  "prompt-empty": (_) => ({ what: "L'invite est vide", fix: "Donnez au moins un jeton à continuer." }),
  "request-too-long": (f) => ({
    what: `L'invite fait ${f.tokens} jetons ; le contexte en contient ${f.contextLength}`,
    fix: "Raccourcissez l'invite, ou augmentez le contexte (-c, --ctx-size).",
  }),
};

export const executorErrors = { en, fr };
