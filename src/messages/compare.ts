import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";

const en = {
  "importance-not-finite": (f: { tensor: string }): ErrorText => ({
    what: `${f.tensor}: its input has values that are no finite numbers`,
    fix: "The model overflows on this text. Use a file of higher precision (BF16 or F32), or another text.",
  }),
  "importance-sizes-differ": (f: { tensor: string; found: string; expected: string }): ErrorText => ({
    what: `${f.tensor}: the importance matrix has ${f.found} values, where the model needs ${f.expected}`,
    fix: "Use importance matrices that were computed from this very model.",
  }),
  "importance-file-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: ${f.field}: ${f.problem}`,
    fix: "Compute the importance matrix again: jauge imatrix MODEL TEXT -o imatrix.gguf",
  }),
  "text-too-short": (f: { tokens: number; needed: number }): ErrorText => ({
    what: `The text has ${f.tokens} ${f.tokens === 1 ? "token" : "tokens"}; ${f.needed} are needed for one window`,
    fix: "Give a longer text, or shorter windows (-c).",
  }),
  "compare-vocabulary": (f: { path: string; other: string; difference: string }): ErrorText => ({
    what: `${f.path} and ${f.other} have different vocabularies (${f.difference})`,
    fix: "Compare files of one and the same model: predictions over other tokens cannot be held against each other.",
  }),
  "target-too-small": (f: { size: number; leastBytes: number }): ErrorText => ({
    what: `No mix is as small as ${formatBytes(f.size)}: the smallest takes ${formatBytes(f.leastBytes)}`,
    fix: "Give a larger --size. With an importance matrix (--imatrix), types of fewer bits can be used.",
  }),
  "target-type-unweighted": (f: { type: string }): ErrorText => ({
    what: `--types ${f.type}: is worth nothing without an importance matrix`,
    fix: `Give one with --imatrix FILE (\`jauge imatrix\` computes it), or leave ${f.type} out.`,
  }),
  "target-interrupted": (_: Record<string, never>): ErrorText => ({
    what: "Interrupted while measuring: nothing was kept, and nothing written",
    fix: "Run the same command again; fewer --types and --sampled-elements are measured sooner.",
  }),
  "compare-disk-full": (f: { path: string; neededBytes: number; freeBytes: number }): ErrorText => ({
    what: `${f.path}: the first model's predictions take ${formatBytes(f.neededBytes)}, ${formatBytes(f.freeBytes)} are free`,
    fix: "Compare on less text (--chunks), or choose a folder on another disk (--temporary-folder).",
  }),
  "importance-interrupted": (f: {
    path: string;
    /** Windows in the file. */
    kept: number;
    total: number;
    isResumable: boolean;
    /** How to go on. */
    command?: string;
  }): ErrorText => ({
    what:
      f.kept === 0
        ? `Interrupted: nothing was written to ${f.path}`
        : `Interrupted: ${f.path} has ${f.kept} of ${f.total} ${f.total === 1 ? "window" : "windows"}`,
    fix:
      f.kept === 0
        ? "Run the same command again."
        : f.isResumable
          ? `Go on behind them: ${f.command ?? "the same command with --resume"}`
          : "It can be used as it is, but not be continued: only a GGUF begun without --in-file can. Start anew with --force.",
  }),
  "compare-interrupted": (f: { measured: number; models: number }): ErrorText => ({
    what:
      f.measured === 0
        ? "Interrupted: nothing was kept"
        : `Interrupted: ${f.measured} of ${f.models} files ${f.measured === 1 ? "is" : "are"} measured (above), nothing else was kept`,
    fix: "Run the same command again; with --chunks N it reads fewer windows.",
  }),
  "compare-not-finite": (f: { path: string; window: number }): ErrorText => ({
    what: `${f.path}: its predictions are no numbers in window ${f.window}`,
    fix: "The file is damaged, or this model overflows in its present types. Make it again, or compare another one.",
  }),
  "model-not-generative": (f: { path: string }): ErrorText => ({
    what: `${f.path}: this model does not predict the next token`,
    fix: "Use a model that generates text, not one for embeddings.",
  }),
  "importance-exists": (f: { path: string }): ErrorText => ({
    what: `${f.path}: there is such a file already`,
    fix: "Choose another name with -o, continue it with --resume, or replace it with --force.",
  }),
  "importance-resume-mismatch": (f: {
    path: string;
    field: string;
    found: string;
    expected: string;
  }): ErrorText => ({
    what: `${f.path}: cannot be continued: its ${f.field} is ${f.found}, not ${f.expected}`,
    fix: "Continue it with the text and the window it was begun with, or start anew with --force.",
  }),
};

const fr: typeof en = {
  "importance-not-finite": (f) => ({
    what: `${f.tensor} : son entrée contient des valeurs qui ne sont pas des nombres finis`,
    fix: "Le modèle déborde sur ce texte. Prenez un fichier de plus grande précision (BF16 ou F32), ou un autre texte.",
  }),
  "importance-sizes-differ": (f) => ({
    what: `${f.tensor} : la matrice d'importance a ${f.found} valeurs, il en faut ${f.expected}`,
    fix: "Prenez des matrices d'importance calculées à partir de ce même modèle.",
  }),
  "importance-file-invalid": (f) => ({
    what: `${f.path} : ${f.field} : ${f.problem}`,
    fix: "Recalculez la matrice d'importance : jauge imatrix MODÈLE TEXTE -o imatrix.gguf",
  }),
  "text-too-short": (f) => ({
    what: `Le texte a ${f.tokens} ${f.tokens === 1 ? "jeton" : "jetons"} ; il en faut ${f.needed} pour une fenêtre`,
    fix: "Donnez un texte plus long, ou des fenêtres plus courtes (-c).",
  }),
  "compare-vocabulary": (f) => ({
    what: `${f.path} et ${f.other} ont des vocabulaires différents (${f.difference})`,
    fix: "Comparez des fichiers d'un seul et même modèle : des prédictions sur d'autres jetons ne se comparent pas.",
  }),
  "target-too-small": (f) => ({
    what: `Aucun mélange ne tient dans ${formatBytes(f.size)} : le plus petit prend ${formatBytes(f.leastBytes)}`,
    fix: "Donnez une plus grande --size. Avec une matrice d'importance (--imatrix), des types de moins de bits sont possibles.",
  }),
  "target-type-unweighted": (f) => ({
    what: `--types ${f.type} : ne vaut rien sans matrice d'importance`,
    fix: `Donnez-en une avec --imatrix FICHIER (\`jauge imatrix\` la calcule), ou laissez ${f.type} de côté.`,
  }),
  "target-interrupted": () => ({
    what: "Interrompu pendant la mesure : rien n'a été gardé, ni écrit",
    fix: "Relancez la même commande ; moins de --types et de --sampled-elements se mesurent plus vite.",
  }),
  "compare-disk-full": (f) => ({
    what: `${f.path} : les prédictions du premier modèle prennent ${formatBytes(f.neededBytes)}, ${formatBytes(f.freeBytes)} sont libres`,
    fix: "Comparez sur moins de texte (--chunks), ou choisissez un dossier d'un autre disque (--temporary-folder).",
  }),
  "importance-interrupted": (f) => ({
    what:
      f.kept === 0
        ? `Interrompu : rien n'a été écrit dans ${f.path}`
        : `Interrompu : ${f.path} contient ${f.kept} ${f.kept === 1 ? "fenêtre" : "fenêtres"} sur ${f.total}`,
    fix:
      f.kept === 0
        ? "Relancez la même commande."
        : f.isResumable
          ? `Pour continuer après elles : ${f.command ?? "la même commande avec --resume"}`
          : "Le fichier peut servir tel quel, mais pas être continué : seul un GGUF commencé sans --in-file le peut. Recommencez avec --force.",
  }),
  "compare-interrupted": (f) => ({
    what:
      f.measured === 0
        ? "Interrompu : rien n'a été gardé"
        : `Interrompu : ${f.measured} ${f.measured === 1 ? `fichier sur ${f.models} est mesuré` : `fichiers sur ${f.models} sont mesurés`} (ci-dessus), rien d'autre n'a été gardé`,
    fix: "Relancez la même commande ; avec --chunks N, elle lit moins de fenêtres.",
  }),
  "compare-not-finite": (f) => ({
    what: `${f.path} : ses prédictions ne sont pas des nombres dans la fenêtre ${f.window}`,
    fix: "Le fichier est abîmé, ou ce modèle déborde avec ses types actuels. Refaites-le, ou comparez-en un autre.",
  }),
  "model-not-generative": (f) => ({
    what: `${f.path} : ce modèle ne prédit pas le jeton suivant`,
    fix: "Prenez un modèle qui génère du texte, pas un modèle de plongement.",
  }),
  "importance-exists": (f) => ({
    what: `${f.path} : ce fichier existe déjà`,
    fix: "Choisissez un autre nom avec -o, continuez-le avec --resume, ou remplacez-le avec --force.",
  }),
  "importance-resume-mismatch": (f) => ({
    what: `${f.path} : impossible de continuer : ${f.field} vaut ${f.found}, pas ${f.expected}`,
    fix: "Continuez avec le texte et la fenêtre du début, ou recommencez avec --force.",
  }),
};

/** What is wrong with a file of an importance matrix. */
export const importanceProblems = {
  en: {
    noCounts: () => "its sums and counts do not belong together",
    noMetadata: () => "the keys that say what it was computed on are missing",
    empty: () => "there are no importance data",
    notFinite: () => "has values that are no finite numbers",
    unknownFormat: () => "this is neither a GGUF file nor a .dat importance matrix",
  },
  fr: {
    noCounts: () => "ses sommes et ses nombres ne vont pas ensemble",
    noMetadata: () => "les clés qui disent sur quoi elle a été calculée manquent",
    empty: () => "il n'y a pas de données d'importance",
    notFinite: () => "contient des valeurs qui ne sont pas des nombres finis",
    unknownFormat: () => "ce n'est ni un fichier GGUF ni une matrice d'importance .dat",
  },
};

export const compareErrors = { en, fr };
