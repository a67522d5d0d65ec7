import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";

/** The names of what is wrong as a whole, and not one field of it. */
const wholesEn: Record<string, string> = { line: "The line", row: "The row" };
const wholesFr: Record<string, string> = { line: "La ligne", row: "La rangée" };

const en = {
  "line-too-long": (f: { limitBytes: number }): ErrorText => ({
    what: `The line is longer than ${formatBytes(f.limitBytes)}`,
    fix: "Split it: no model reads that much at once.",
  }),
  "line-not-utf8": (_: Record<string, never>): ErrorText => ({
    what: "The line is not UTF-8",
    fix: "Convert the file: iconv -f LATIN1 -t UTF-8 FILE.",
  }),
  "line-not-json": (f: { problem: string }): ErrorText => ({
    what: `The line is no valid JSON (${f.problem})`,
    fix: "Write one JSON object a line, without line breaks in it.",
  }),
  "line-invalid": (f: { field: string; problem: string }): ErrorText => ({
    what: wholesEn[f.field] ? `${wholesEn[f.field]} ${f.problem}` : `${f.field}: ${f.problem}`,
    fix: wholesEn[f.field] ? "Correct it in the input." : `Correct ${f.field} of this line.`,
  }),
  "line-unsupported": (f: { field: string }): ErrorText => ({
    what: `"${f.field}" is not supported: the answer would not be what it asks for`,
    fix: `Remove "${f.field}" from the line.`,
  }),
  "line-duplicate-id": (f: { customId: string }): ErrorText => ({
    what: `custom_id "${f.customId}" was used by an earlier line`,
    fix: /^line-\d+$/.test(f.customId)
      ? "Give every line its own custom_id: one without is named line-N by its number."
      : "Give every line its own custom_id.",
  }),
  "line-other-kind": (f: { kind: string }): ErrorText => ({
    what:
      f.kind === "embedding"
        ? "The line asks for an embedding in a job of texts"
        : "The line asks for a text in a job of embeddings",
    fix: "Their memory is planned otherwise. Both go through one after the other where the input is a file, without --ordered and --plan; else give embeddings a job of their own.",
  }),
  "batch-options-invalid": (f: { field: string; problem: string }): ErrorText => ({
    what: `${f.field}: ${f.problem}`,
    fix: "Correct it in the call of batch().",
  }),
  "batch-template-invalid": (f: { template: string; problem: string }): ErrorText => ({
    what:
      f.problem === "{}"
        ? `--template "${f.template}" has no field`
        : `--template "${f.template}" has a lone ${f.problem}`,
    fix: "Name fields in braces: {text}. Braces themselves are {{ and }}.",
  }),
  "batch-columns-unknown": (f: { missing: string; names: readonly string[] }): ErrorText => ({
    what: `The table has no column ${f.missing}; it has ${f.names.join(", ")}`,
    fix: 'Name its columns in the template: --template "Translate: {text}".',
  }),
  "batch-columns-repeated": (f: { name: string }): ErrorText => ({
    what: `The table has two columns named ${f.name}`,
    fix: "Give each column a name of its own.",
  }),
  "batch-table-empty": (_: Record<string, never>): ErrorText => ({
    what: "The table has no header that can be read",
    fix: "Give it a first row with the names of its columns.",
  }),
  "batch-output-foreign": (f: { path: string; line: number }): ErrorText => ({
    what: `${f.path}: line ${f.line} is no result of a batch job`,
    fix: "Give another output file: this one is left as it is.",
  }),
  "batch-output-no-file": (f: { path: string }): ErrorText => ({
    what: f.path === "-" ? "-o -: results cannot go to standard output" : `${f.path}: is no regular file`,
    fix: "Give a file: the output is the job's journal, which is read again to go on.",
  }),
  "batch-output-is-input": (f: { path: string }): ErrorText => ({
    what: `${f.path}: it is the input`,
    fix: "Give another output file.",
  }),
  "batch-locked": (f: { path: string; owner: string; lock: string }): ErrorText => ({
    what: `${f.path}: another job writes to it (${f.owner})`,
    fix: `Wait for it, or give another output file. If that process is surely gone, delete ${f.lock}.`,
  }),
  "batch-settings-changed": (f: { path: string; differences: string }): ErrorText => ({
    what: `${f.path}: the job was begun with other settings:\n${f.differences}`,
    fix: "Run it with the same settings, give another output file, or mix both with --force.",
  }),
  "batch-settings-invalid": (f: { path: string; problem: string }): ErrorText => ({
    what: `${f.path}: is no record of a job's settings (${f.problem})`,
    fix: "Give another output file, or go on without it: --force.",
  }),
  "batch-settings-missing": (f: { path: string; record: string }): ErrorText => ({
    what: `${f.path}: has results, and ${f.record} is not there to say with which settings they were made`,
    fix: "Give another output file, or take them as they are and go on: --force.",
  }),
  "batch-write-failed": (f: { path: string; reason: string; full: boolean }): ErrorText => ({
    what: f.full ? `${f.path}: the disk is full` : `${f.path}: cannot be written (${f.reason})`,
    fix: f.full
      ? "Make room, then run the same command again: it goes on where it stopped. What is written is whole."
      : "Check the folder and your rights to write in it, then run the same command again.",
  }),
  "batch-stopped": (f: { customId: string; line: number; problem: string }): ErrorText => ({
    what: `Line ${f.line} (${f.customId}) failed: ${f.problem}`,
    fix: "Correct it and run the same command again (with --force where it says that the input changed), or go on past errors without --fail-fast.",
  }),
};

const fr: typeof en = {
  "line-too-long": (f) => ({
    what: `La ligne dépasse ${formatBytes(f.limitBytes)}`,
    fix: "Coupez-la : aucun modèle n'en lit autant d'un coup.",
  }),
  "line-not-utf8": () => ({
    what: "La ligne n'est pas en UTF-8",
    fix: "Convertissez le fichier : iconv -f LATIN1 -t UTF-8 FICHIER.",
  }),
  "line-not-json": (f) => ({
    what: `La ligne n'est pas du JSON valide (${f.problem})`,
    fix: "Écrivez un objet JSON par ligne, sans saut de ligne dedans.",
  }),
  "line-invalid": (f) => ({
    what: wholesFr[f.field] ? `${wholesFr[f.field]} ${f.problem}` : `${f.field} : ${f.problem}`,
    fix: wholesFr[f.field] ? "Corrigez-la dans l'entrée." : `Corrigez ${f.field} de cette ligne.`,
  }),
  "line-unsupported": (f) => ({
    what: `« ${f.field} » n'est pas pris en charge : la réponse ne serait pas celle demandée`,
    fix: `Retirez « ${f.field} » de la ligne.`,
  }),
  "line-duplicate-id": (f) => ({
    what: `Le custom_id « ${f.customId} » sert déjà à une ligne précédente`,
    fix: /^line-\d+$/.test(f.customId)
      ? "Donnez à chaque ligne son propre custom_id : celle qui n'en a pas s'appelle line-N par son numéro."
      : "Donnez à chaque ligne son propre custom_id.",
  }),
  "line-other-kind": (f) => ({
    what:
      f.kind === "embedding"
        ? "La ligne demande un vecteur dans un travail de textes"
        : "La ligne demande un texte dans un travail de vecteurs",
    fix: "Leur mémoire se prévoit autrement. Les deux passent l'un après l'autre quand l'entrée est un fichier, sans --ordered ni --plan ; sinon, faites un travail à part pour les vecteurs.",
  }),
  "batch-options-invalid": (f) => ({
    what: `${f.field} : ${f.problem}`,
    fix: "Corrigez-le dans l'appel de batch().",
  }),
  "batch-template-invalid": (f) => ({
    what:
      f.problem === "{}"
        ? `--template « ${f.template} » n'a pas de champ`
        : `--template « ${f.template} » a une accolade ${f.problem} seule`,
    fix: "Nommez les champs entre accolades : {text}. Les accolades elles-mêmes s'écrivent {{ et }}.",
  }),
  "batch-columns-unknown": (f) => ({
    what: `Le tableau n'a pas de colonne ${f.missing} ; il a ${f.names.join(", ")}`,
    fix: 'Nommez ses colonnes dans le modèle d\'invite : --template "Traduis : {text}".',
  }),
  "batch-columns-repeated": (f) => ({
    what: `Le tableau a deux colonnes nommées ${f.name}`,
    fix: "Donnez à chaque colonne son propre nom.",
  }),
  "batch-table-empty": () => ({
    what: "Le tableau n'a pas d'en-tête lisible",
    fix: "Donnez-lui une première rangée avec les noms de ses colonnes.",
  }),
  "batch-output-foreign": (f) => ({
    what: `${f.path} : la ligne ${f.line} n'est pas un résultat de travail par lots`,
    fix: "Donnez un autre fichier de sortie : celui-ci reste comme il est.",
  }),
  "batch-output-no-file": (f) => ({
    what:
      f.path === "-"
        ? "-o - : les résultats ne peuvent pas aller à la sortie standard"
        : `${f.path} : n'est pas un fichier ordinaire`,
    fix: "Donnez un fichier : la sortie est le journal du travail, relu pour le poursuivre.",
  }),
  "batch-output-is-input": (f) => ({
    what: `${f.path} : c'est l'entrée`,
    fix: "Donnez un autre fichier de sortie.",
  }),
  "batch-locked": (f) => ({
    what: `${f.path} : un autre travail y écrit (${f.owner})`,
    fix: `Attendez-le, ou donnez un autre fichier de sortie. Si ce processus a sûrement disparu, effacez ${f.lock}.`,
  }),
  "batch-settings-changed": (f) => ({
    what: `${f.path} : le travail a commencé avec d'autres réglages :\n${f.differences}`,
    fix: "Relancez avec les mêmes réglages, donnez un autre fichier de sortie, ou mêlez les deux avec --force.",
  }),
  "batch-settings-invalid": (f) => ({
    what: `${f.path} : n'est pas un relevé des réglages d'un travail (${f.problem})`,
    fix: "Donnez un autre fichier de sortie, ou continuez sans lui : --force.",
  }),
  "batch-settings-missing": (f) => ({
    what: `${f.path} : contient des résultats, et ${f.record} manque pour dire avec quels réglages`,
    fix: "Donnez un autre fichier de sortie, ou prenez-les tels quels et continuez : --force.",
  }),
  "batch-write-failed": (f) => ({
    what: f.full ? `${f.path} : le disque est plein` : `${f.path} : l'écriture est impossible (${f.reason})`,
    fix: f.full
      ? "Faites de la place, puis relancez la même commande : elle reprend où elle s'est arrêtée. Ce qui est écrit est entier."
      : "Vérifiez le dossier et vos droits d'y écrire, puis relancez la même commande.",
  }),
  "batch-stopped": (f) => ({
    what: `La ligne ${f.line} (${f.customId}) a échoué : ${f.problem}`,
    fix: "Corrigez-la et relancez la même commande (avec --force si elle dit que l'entrée a changé), ou passez outre les erreurs sans --fail-fast.",
  }),
};

export const batchErrors = { en, fr };
