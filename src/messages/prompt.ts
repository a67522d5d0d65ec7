import type { ErrorText } from "./error-text.js";

/** Why a keyword of a JSON schema is refused. */
type SchemaProblem = keyof (typeof schemaProblems)["en"];

const schemaProblems = {
  en: {
    unsupported: "is not supported",
    malformed: "has a value that it cannot have",
    combination: "is not supported together with the keywords beside it",
    never: "allows no value",
    recursion: "refers to nothing but itself",
    unresolved: "points outside of the schema or to nothing in it",
    large: "is too large or too deep when spelt out",
  },
  fr: {
    unsupported: "n'est pas pris en charge",
    malformed: "a une valeur qu'il ne peut pas avoir",
    combination: "n'est pas pris en charge avec les mots-clés qui l'accompagnent",
    never: "ne permet aucune valeur",
    recursion: "ne renvoie qu'à lui-même",
    unresolved: "renvoie hors du schéma ou à rien de ce qu'il contient",
    large: "est trop grand ou trop profond une fois développé",
  },
};

const en = {
  "template-unknown": (f: { template: string; names: string }): ErrorText => ({
    what: `There is no prompt format named "${f.template}"`,
    fix: `Give --template one of ${f.names}, the path of a Jinja file, or Jinja text.`,
  }),
  "template-invalid": (f: { template: string; problem: string }): ErrorText => ({
    what: `The chat template ${f.template} cannot be used: ${f.problem}`,
    fix: "Choose another prompt format with --template.",
  }),
  "template-refused": (f: { template: string; problem: string }): ErrorText => ({
    what: `The chat template ${f.template} refuses this conversation: ${f.problem}`,
    fix: "Change the messages (most models want user and assistant in turns), or choose another prompt format with --template.",
  }),
  "prompt-too-long": (f: { tokens: number; contextLength: number; reserve: number }): ErrorText => ({
    what: `The system prompt and the last message take ${f.tokens} tokens; the context holds ${f.contextLength}, of which ${f.reserve} are kept for the answer`,
    fix: "Shorten the message, ask for a shorter answer, or raise the context length with --ctx-size.",
  }),
  "json-schema-unsupported": (f: { path: string; keyword: string; problem: SchemaProblem }): ErrorText => ({
    what: `JSON schema, ${f.path}: "${f.keyword}" ${schemaProblems.en[f.problem]}`,
    fix: "Take it out of the schema or say the same with other keywords, and check the answer for it afterwards.",
  }),
};

const fr: typeof en = {
  "template-unknown": (f) => ({
    what: `Aucun format d'invite ne s'appelle « ${f.template} »`,
    fix: `Donnez à --template l'un de ${f.names}, le chemin d'un fichier Jinja, ou du texte Jinja.`,
  }),
  "template-invalid": (f) => ({
    what: `Le modèle d'invite ${f.template} est inutilisable : ${f.problem}`,
    fix: "Choisissez un autre format d'invite avec --template.",
  }),
  "template-refused": (f) => ({
    what: `Le modèle d'invite ${f.template} refuse cette conversation : ${f.problem}`,
    fix: "Changez les messages (la plupart des modèles veulent utilisateur et assistant en alternance), ou choisissez un autre format d'invite avec --template.",
  }),
  "prompt-too-long": (f) => ({
    what: `L'invite système et le dernier message font ${f.tokens} jetons ; le contexte en contient ${f.contextLength}, dont ${f.reserve} sont gardés pour la réponse`,
    fix: "Raccourcissez le message, demandez une réponse plus courte, ou augmentez la longueur du contexte avec --ctx-size.",
  }),
  "json-schema-unsupported": (f) => ({
    what: `Schéma JSON, ${f.path} : « ${f.keyword} » ${schemaProblems.fr[f.problem]}`,
    fix: "Retirez-le du schéma ou dites la même chose avec d'autres mots-clés, et vérifiez-le ensuite sur la réponse.",
  }),
};

export const promptErrors = { en, fr };

/** Why a prompt format was chosen: one line for the person. */
const reasonsEn = {
  asked: (f: { name: string }): string => `prompt format ${f.name}: asked for`,
  named: (f: { name: string; evidence: string }): string =>
    `prompt format ${f.name}: the model is called "${f.evidence}"`,
  base: (f: { evidence: string }): string => `no prompt format: "${f.evidence}" is a base model`,
  own: (f: { source: string }): string => `prompt format: the model's own template (${f.source})`,
  none: (): string =>
    "no prompt format: the model has no template and its name says nothing; choose one with --template",
};

const reasonsFr: typeof reasonsEn = {
  asked: (f) => `format d'invite ${f.name} : demandé`,
  named: (f) => `format d'invite ${f.name} : le modèle s'appelle « ${f.evidence} »`,
  base: (f) => `aucun format d'invite : « ${f.evidence} » est un modèle de base`,
  own: (f) => `format d'invite : celui du modèle (${f.source})`,
  none: () =>
    "aucun format d'invite : le modèle n'en a pas et son nom ne dit rien ; choisissez-en un avec --template",
};

export const promptReasons = { en: reasonsEn, fr: reasonsFr };
