import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";

/** The last lines of the engine's own log, for errors whose cause only it knows. */
const tail = (log: string) => (log ? `\n${log}` : "");

/** What llama.cpp's parser says of a grammar, without its own name and the lines of the grammar that it repeats. */
function grammarProblem(log: string): string {
  const line = log.split("\n").find((one) => one !== "failed to parse grammar") ?? "";
  return line.replace(/^.*?error parsing grammar: /, "").trim();
}

/** A context beside the loaded plan, on one place. */
export interface BesideFacts {
  device: string;
  neededBytes: number;
  roomBytes: number;
  budgetBytes: number;
}

const en = {
  "backend-unavailable": (f: { backend: string; platform: string }): ErrorText => ({
    what: `No ${f.backend} libraries are published for ${f.platform}`,
    fix: "Choose another --backend, or build llama.cpp 0.5.0 and point JAUGE_LIB_DIR to its libraries.",
  }),
  "backend-unknown": (f: { backend: string; known: string[] }): ErrorText => ({
    what: `There is no backend ${f.backend}`,
    fix: `Choose one of ${f.known.join(", ")} (--backend, JAUGE_BACKEND).`,
  }),
  "backend-no-device": (f: { backend: string }): ErrorText => ({
    what: `The ${f.backend} libraries find no device on this machine`,
    fix: "Check the graphics driver, or choose --backend auto or cpu.",
  }),
  "token-unknown": (f: { token: number; vocabularySize: number }): ErrorText => ({
    what: `${f.token} is not a token of this model (0 to ${f.vocabularySize - 1})`,
    fix: "Use ids that this model's tokenizer gives.",
  }),
  "library-missing": (f: { package: string }): ErrorText => ({
    what: `The package with the inference libraries for this platform is not installed: ${f.package}`,
    fix: `Run: npm install ${f.package}   (with -g if jauge is installed globally)`,
  }),
  "library-directory-unreadable": (f: { directory: string; reason: string }): ErrorText => ({
    what: `${f.directory}: cannot read the library folder (${f.reason})`,
    fix: "Set JAUGE_LIB_DIR to a folder that holds libllama and libggml, or unset it.",
  }),
  "library-directory-incomplete": (f: { directory: string; library: string }): ErrorText => ({
    what: `${f.directory}: no ${f.library} library in this folder`,
    fix: "Set JAUGE_LIB_DIR to a folder that holds libllama, libggml and libggml-base, or unset it.",
  }),
  "library-unloadable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: the library cannot be loaded (${f.reason})`,
    fix: "It was built for another system, or misses a library it needs (ldd shows which).",
  }),
  "library-version": (f: { path: string; found: string; expected: string }): ErrorText => ({
    what: `${f.path} is llama.cpp ${f.found}; this jauge works with ${f.expected} only`,
    fix: "Reinstall jauge's packages, or build that very version and point JAUGE_LIB_DIR to it.",
  }),
  "library-layout": (f: { structure: string; field: string; found: string }): ErrorText => ({
    what: `The library's ${f.structure} is not laid out as expected: ${f.field} reads ${f.found}`,
    fix: "The libraries are not of the version they claim. Reinstall them; nothing was loaded.",
  }),
  "device-unknown": (f: { device: string; known: string[] }): ErrorText => ({
    what: `No device is named ${f.device}`,
    fix: `Devices here: ${f.known.join(", ") || "none"}. Use one of these names.`,
  }),
  "model-load-failed": (f: { path: string; reason: string; log: string }): ErrorText => ({
    what: `${f.path}: the model could not be loaded${f.reason ? `: ${f.reason}` : ""}${tail(f.log)}`,
    fix: "If the file is whole, it may be of a kind that llama.cpp 0.5.0 does not know.",
  }),
  "adapter-load-failed": (f: { path: string; log: string }): ErrorText => ({
    what: `${f.path}: the LoRA adapter could not be loaded${tail(f.log)}`,
    fix: "Check that it is a GGUF adapter made for this very model.",
  }),
  "context-failed": (f: { reason: string; log: string }): ErrorText => ({
    what: `The context could not be created${f.reason ? `: ${f.reason}` : ""}${tail(f.log)}`,
    fix: "Lower the context length or the number of sequences, or change the KV cache types.",
  }),
  "out-of-memory": (f: { device: string; neededBytes?: number; freeBytes?: number }): ErrorText => ({
    what:
      f.neededBytes === undefined
        ? `Not enough memory on ${f.device}`
        : `Not enough memory on ${f.device}: ${formatBytes(f.neededBytes)} needed${
            f.freeBytes === undefined ? "" : `, ${formatBytes(f.freeBytes)} free`
          }`,
    fix: "Put fewer layers on the device (--n-gpu-layers), or lower the context length, the sequences or the micro-batch.",
  }),
  "host-crashed": (f: { signal: string; log: string }): ErrorText => ({
    what: `The engine's process ended unexpectedly (${f.signal})${tail(f.log)}`,
    fix: "If it was SIGKILL the system may be out of memory: lower the memory the plan takes. Else report this, with the log.",
  }),
  "host-closed": (_: Record<string, never>): ErrorText => ({
    what: "The engine is closed",
    fix: "Load the model again.",
  }),
  cancelled: (_: Record<string, never>): ErrorText => ({ what: "Cancelled", fix: "" }),
  "plan-invalid": (f: { field: string; problem: string }): ErrorText => ({
    what: `${f.field}: ${f.problem}`,
    fix: "Change this setting.",
  }),
  "sampling-invalid": (f: { field: string; problem: string }): ErrorText => ({
    what: `${f.field}: ${f.problem}`,
    fix: "Change this sampling setting.",
  }),
  "grammar-invalid": (f: { log: string }): ErrorText => ({
    what: ["The grammar cannot be parsed", grammarProblem(f.log)].filter(Boolean).join(": "),
    fix: "Check it against llama.cpp's GBNF syntax; the start symbol is `root`.",
  }),
  "state-unusable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: the saved state cannot be used: ${f.reason}`,
    fix: "Restore it with the model, KV cache types and context length it was saved with.",
  }),
  "decode-failed": (f: { status: number; log: string }): ErrorText => ({
    what: `The engine could not compute a micro-batch (status ${f.status})${tail(f.log)}`,
    fix: "Report this, with the log.",
  }),
  "embeddings-unsupported": (f: { reason: string }): ErrorText => ({
    what: `This model gives no embeddings: ${f.reason}`,
    fix: "Use an embedding model, or another --pooling.",
  }),
  "embeddings-only": (_: Record<string, never>): ErrorText => ({
    what: "The model was loaded for embeddings, not to answer",
    fix: "Load it without `embeddings`, or with a plan that was made for text.",
  }),
  "embeddings-beyond-budget": (f: BesideFacts): ErrorText => ({
    what:
      `${f.device === "host" ? "RAM" : f.device}: a context for embeddings beside the loaded plan takes ` +
      `${formatBytes(f.neededBytes)}, ${formatBytes(f.roomBytes)} of the budget of ${formatBytes(f.budgetBytes)} are left`,
    fix: "Load the model for embeddings (`embeddings: { pooling }`), embed shorter texts, or raise the budget.",
  }),
  "text-too-long": (f: { tokens: number; limit: number }): ErrorText => ({
    what: `The text has ${f.tokens} tokens; the model takes ${f.limit}`,
    fix: "Shorten or split the text.",
  }),
  "memory-report-unsupported": (f: { platform: string }): ErrorText => ({
    what: `Exact memory figures cannot be read from the libraries on ${f.platform}`,
    fix: "Run without the measurement.",
  }),
};

const fr: typeof en = {
  "backend-unavailable": (f) => ({
    what: `Aucune bibliothèque ${f.backend} n'est publiée pour ${f.platform}`,
    fix: "Choisissez un autre --backend, ou compilez llama.cpp 0.5.0 et indiquez son dossier dans JAUGE_LIB_DIR.",
  }),
  "backend-unknown": (f) => ({
    what: `Il n'y a pas de backend ${f.backend}`,
    fix: `Choisissez parmi ${f.known.join(", ")} (--backend, JAUGE_BACKEND).`,
  }),
  "backend-no-device": (f) => ({
    what: `Les bibliothèques ${f.backend} ne trouvent aucun périphérique sur cette machine`,
    fix: "Vérifiez le pilote graphique, ou choisissez --backend auto ou cpu.",
  }),
  "token-unknown": (f) => ({
    what: `${f.token} n'est pas un jeton de ce modèle (0 à ${f.vocabularySize - 1})`,
    fix: "Utilisez les numéros que donne le tokeniseur de ce modèle.",
  }),
  "library-missing": (f) => ({
    what: `Le paquet des bibliothèques d'inférence pour ce système n'est pas installé : ${f.package}`,
    fix: `Lancez : npm install ${f.package}   (avec -g si jauge est installé globalement)`,
  }),
  "library-directory-unreadable": (f) => ({
    what: `${f.directory} : dossier de bibliothèques illisible (${f.reason})`,
    fix: "Donnez à JAUGE_LIB_DIR un dossier qui contient libllama et libggml, ou retirez-la.",
  }),
  "library-directory-incomplete": (f) => ({
    what: `${f.directory} : pas de bibliothèque ${f.library} dans ce dossier`,
    fix: "Donnez à JAUGE_LIB_DIR un dossier qui contient libllama, libggml et libggml-base, ou retirez-la.",
  }),
  "library-unloadable": (f) => ({
    what: `${f.path} : la bibliothèque ne peut pas être chargée (${f.reason})`,
    fix: "Elle a été compilée pour un autre système, ou il lui manque une bibliothèque (ldd montre laquelle).",
  }),
  "library-version": (f) => ({
    what: `${f.path} est llama.cpp ${f.found} ; ce jauge ne fonctionne qu'avec ${f.expected}`,
    fix: "Réinstallez les paquets de jauge, ou compilez cette version et indiquez son dossier dans JAUGE_LIB_DIR.",
  }),
  "library-layout": (f) => ({
    what: `La structure ${f.structure} de la bibliothèque n'est pas celle attendue : ${f.field} vaut ${f.found}`,
    fix: "Les bibliothèques ne sont pas de la version annoncée. Réinstallez-les ; rien n'a été chargé.",
  }),
  "device-unknown": (f) => ({
    what: `Aucun périphérique ne s'appelle ${f.device}`,
    fix: `Périphériques présents : ${f.known.join(", ") || "aucun"}. Utilisez l'un de ces noms.`,
  }),
  "model-load-failed": (f) => ({
    what: `${f.path} : le modèle n'a pas pu être chargé${f.reason ? ` : ${f.reason}` : ""}${tail(f.log)}`,
    fix: "Si le fichier est complet, il est peut-être d'un genre que llama.cpp 0.5.0 ne connaît pas.",
  }),
  "adapter-load-failed": (f) => ({
    what: `${f.path} : l'adaptateur LoRA n'a pas pu être chargé${tail(f.log)}`,
    fix: "Vérifiez que c'est un adaptateur GGUF fait pour ce modèle précis.",
  }),
  "context-failed": (f) => ({
    what: `Le contexte n'a pas pu être créé${f.reason ? ` : ${f.reason}` : ""}${tail(f.log)}`,
    fix: "Réduisez le contexte ou le nombre de séquences, ou changez les types du cache KV.",
  }),
  "out-of-memory": (f) => ({
    what:
      f.neededBytes === undefined
        ? `Mémoire insuffisante sur ${f.device}`
        : `Mémoire insuffisante sur ${f.device} : il faut ${formatBytes(f.neededBytes)}${
            f.freeBytes === undefined ? "" : `, ${formatBytes(f.freeBytes)} libres`
          }`,
    fix: "Mettez moins de couches sur le périphérique (--n-gpu-layers), ou réduisez le contexte, les séquences ou le micro-lot.",
  }),
  "host-crashed": (f) => ({
    what: `Le processus du moteur s'est arrêté (${f.signal})${tail(f.log)}`,
    fix: "Si c'est SIGKILL, le système manque peut-être de mémoire : réduisez celle du plan. Sinon signalez-le, avec le journal.",
  }),
  "host-closed": (_) => ({ what: "Le moteur est fermé", fix: "Rechargez le modèle." }),
  cancelled: (_) => ({ what: "Annulé", fix: "" }),
  "plan-invalid": (f) => ({ what: `${f.field} : ${f.problem}`, fix: "Changez ce réglage." }),
  "sampling-invalid": (f) => ({
    what: `${f.field} : ${f.problem}`,
    fix: "Changez ce réglage d'échantillonnage.",
  }),
  "grammar-invalid": (f) => ({
    what: ["La grammaire ne peut pas être lue", grammarProblem(f.log)].filter(Boolean).join(" : "),
    fix: "Vérifiez-la selon la syntaxe GBNF de llama.cpp ; le symbole de départ est `root`.",
  }),
  "state-unusable": (f) => ({
    what: `${f.path} : l'état enregistré est inutilisable : ${f.reason}`,
    fix: "Restaurez-le avec le modèle, les types de cache KV et le contexte de l'enregistrement.",
  }),
  "decode-failed": (f) => ({
    what: `Le moteur n'a pas pu calculer un micro-lot (état ${f.status})${tail(f.log)}`,
    fix: "Signalez-le, avec le journal.",
  }),
  "embeddings-unsupported": (f) => ({
    what: `Ce modèle ne donne pas de plongements : ${f.reason}`,
    fix: "Prenez un modèle de plongement, ou un autre --pooling.",
  }),
  "embeddings-only": (_) => ({
    what: "Le modèle a été chargé pour des plongements, non pour répondre",
    fix: "Chargez-le sans `embeddings`, ou avec un plan fait pour du texte.",
  }),
  "embeddings-beyond-budget": (f) => ({
    what:
      `${f.device === "host" ? "RAM" : f.device} : un contexte de plongement à côté du plan chargé prend ` +
      `${formatBytes(f.neededBytes)}, il reste ${formatBytes(f.roomBytes)} du budget de ${formatBytes(f.budgetBytes)}`,
    fix: "Chargez le modèle pour des plongements (`embeddings: { pooling }`), donnez des textes plus courts, ou relevez le budget.",
  }),
  "text-too-long": (f) => ({
    what: `Le texte a ${f.tokens} jetons ; le modèle en prend ${f.limit}`,
    fix: "Raccourcissez ou découpez le texte.",
  }),
  "memory-report-unsupported": (f) => ({
    what: `Les chiffres exacts de mémoire ne peuvent pas être lus des bibliothèques sur ${f.platform}`,
    fix: "Lancez sans la mesure.",
  }),
};

export const engineErrors = { en, fr };
