const en = {
  description: "Answer a file of prompts, many at once, within the budget; goes on where it was stopped",
  input:
    "file of prompts: OpenAI Batch lines, JSON lines, CSV, TSV or plain text; standard input where absent",
  heading: "Batch:",
  options: {
    output:
      "file of results, one JSON object a line; it is the journal too: the same command goes on behind it",
    template: 'prompt with fields of each line or row: --template "Translate: {text}"',
    chatTemplate: "prompt format by name (alpaca, vicuna, chatml, raw, …) or a Jinja file",
    inputFormat: "what the input is, where its name does not say",
    ordered: "results in the order of the input; few enough are held back that memory stays bounded",
    failFast: "end with the first line that fails, instead of writing its error as its result",
    force: "go on although the job was begun with other settings",
    deterministic: "the same bits whatever else runs: one sequence at a time, nothing shared; much slower",
    estimate: "read the input, plan, and say what the job takes; run nothing",
    expectTokens: "tokens that an answer of unknown length is expected to have (256)",
    lookAhead: "lines that are read ahead, to bring those with a common beginning together",
  },
  note: "Output: OpenAI Batch result lines. Ctrl-C keeps what runs; the same command goes on.",
  waiting: "waiting for lines on standard input…",
  nothingLeft: (f: { path: string }) => `nothing is left to do: ${f.path} is complete`,
  resumed: (f: { lines: string }) =>
    f.lines === "1" ? "1 line is done already" : `${f.lines} lines are done already`,
  done: "done",
  failed: "failed",
  running: "running",
  waitingLines: "waiting",
  elapsed: "elapsed",
  left: "left",
  tokensIn: (f: { speed: string; cached: string }) => `in ${f.speed} tokens/s (${f.cached} from the cache)`,
  tokensOut: (f: { speed: string }) => `out ${f.speed} tokens/s`,
  gauge: (f: { asked: string; planned: string; used: string }) =>
    `used ${f.used} · planned ${f.planned} · asked ${f.asked}`,
  finished: (f: {
    done: string;
    failed: string;
    skipped: string;
    kept: string;
    seconds: string;
    path: string;
  }) =>
    `${f.done} answered, ${f.failed} failed, ${f.skipped} done before${f.kept === "0" ? "" : `, ${f.kept} kept for the next run`}, in ${f.seconds}: ${f.path}`,
  tokens: (f: { prompt: string; cached: string; output: string; speed: string }) =>
    `${f.prompt} tokens read (${f.cached} from the cache), ${f.output} written, ${f.speed} tokens/s`,
  otherKind: (f: { lines: string; kind: string }) =>
    `${f.lines === "1" ? "1 line asks" : `${f.lines} lines ask`} for ${f.kind === "text" ? "embeddings" : "texts"}: they follow, with a plan of their own`,
  ignoredColumns: (f: { names: string }) =>
    `columns that are left aside: ${f.names}; settings come from the command line, or from lines of JSON`,
  unread: (f: { path: string; line: string }) =>
    `${f.path}: nothing from line ${f.line} on was read; correct its quotes, then give another output or go on with --force`,
  interrupted: "Interrupted; what ran is kept. To go on:",
  estimate: {
    lines: (f: { lines: string; bad: string }) =>
      `${f.lines === "1" ? "1 line" : `${f.lines} lines`}${f.bad === "0" ? "" : `, ${f.bad} of them cannot be read`}`,
    tokensIn: (f: { tokens: string; each: string; sampled: string }) =>
      `in   about ${f.tokens} tokens (${f.each} a line, measured over ${f.sampled})`,
    tokensOut: (f: { tokens: string; each: string; assumption: string }) =>
      `out  about ${f.tokens} tokens (${f.each} a line: ${f.assumption})`,
    assumedLimits: "each answer as long as its limit allows",
    assumedDefault: (f: { tokens: string }) =>
      `${f.tokens} where a line has no limit, else the limit; --expect-tokens says otherwise`,
    shared: (f: { percent: string }) =>
      `${f.percent} of the prompt tokens are shared beginnings, computed once`,
    time: (f: { time: string; prefill: string; decode: string; sequences: string }) =>
      `time about ${f.time}: ${f.sequences === "1" ? "1 sequence" : `${f.sequences} sequences`} at once, ${f.prefill} tokens/s read, ${f.decode} written`,
    regime: (f: { explanation: string }) => `regime: ${f.explanation}`,
    timeReading: (f: { time: string; prefill: string }) => `time about ${f.time}: ${f.prefill} tokens/s read`,
    otherKind: (f: { lines: string }) =>
      `${f.lines === "1" ? "1 line asks" : `${f.lines} lines ask`} for what the first does not (texts or embeddings): errors in this job`,
  },
  energy: {
    taken: (f: { energy: string; places: string }) => `energy ${f.energy} (${f.places})`,
    written: (f: { per: string }) => `${f.per} J per 1,000 tokens written`,
    read: (f: { per: string }) => `${f.per} J per 1,000 tokens read`,
    refused: (f: { path: string }) => `energy of the CPU: only root may read ${f.path}`,
    unknown: "energy: nothing here reports its power",
    estimated: (f: { energy: string; wattHours: string; powers: string }) =>
      `energy at most about ${f.energy} (${f.wattHours} Wh): ${f.powers}, all the time`,
    draws: (f: { place: string; watts: string; basis: string }) => `${f.place} ${f.watts} W (${f.basis})`,
    bases: { measured: "measured under load by jauge doctor", limit: "its power limit" },
    without: (f: { places: string }) => `not in it: ${f.places}, whose power nothing tells`,
  },
};

/** French has its singular for 0 and 1. */
function counted(count: string, one: string, many: string): string {
  return `${count} ${count === "0" || count === "1" ? one : many}`;
}

const fr: typeof en = {
  description:
    "Répondre à un fichier d'invites, beaucoup à la fois, dans le budget ; reprend où il s'est arrêté",
  input:
    "fichier d'invites : lignes OpenAI Batch, lignes JSON, CSV, TSV ou texte ; sans lui, l'entrée standard",
  heading: "Lot :",
  options: {
    output:
      "fichier des résultats, un objet JSON par ligne ; c'est aussi le journal : la même commande le poursuit",
    template: 'invite avec des champs de chaque ligne : --template "Traduis : {text}"',
    chatTemplate: "format d'invite par son nom (alpaca, vicuna, chatml, raw, …) ou un fichier Jinja",
    inputFormat: "ce qu'est l'entrée, quand son nom ne le dit pas",
    ordered: "résultats dans l'ordre de l'entrée ; assez peu sont retenus pour que la mémoire reste bornée",
    failFast: "finir à la première ligne qui échoue, au lieu d'écrire son erreur comme son résultat",
    force: "continuer bien que le travail ait commencé avec d'autres réglages",
    deterministic:
      "les mêmes bits quoi qu'il tourne : une séquence à la fois, rien de partagé ; bien plus lent",
    estimate: "lire l'entrée, prévoir, et dire ce que prend le travail ; ne rien lancer",
    expectTokens: "jetons attendus d'une réponse de longueur inconnue (256)",
    lookAhead: "lignes lues d'avance, pour réunir celles qui commencent pareil",
  },
  note: "Sortie : lignes de résultat OpenAI Batch. Ctrl-C garde ce qui tourne ; la même commande le reprend.",
  waiting: "des lignes sont attendues sur l'entrée standard…",
  nothingLeft: (f) => `il ne reste rien à faire : ${f.path} est complet`,
  resumed: (f) => (f.lines === "1" ? "1 ligne est déjà faite" : `${f.lines} lignes sont déjà faites`),
  done: "faites",
  failed: "échouées",
  running: "en cours",
  waitingLines: "en attente",
  elapsed: "écoulé",
  left: "restant",
  tokensIn: (f) => `lus ${f.speed} jetons/s (${f.cached} déjà en cache)`,
  tokensOut: (f) => `écrits ${f.speed} jetons/s`,
  gauge: (f) => `pris ${f.used} · prévu ${f.planned} · demandé ${f.asked}`,
  finished: (f) =>
    [
      counted(f.done, "réponse", "réponses"),
      counted(f.failed, "échec", "échecs"),
      counted(f.skipped, "déjà faite", "déjà faites"),
      ...(f.kept === "0" ? [] : [counted(f.kept, "gardée pour la suite", "gardées pour la suite")]),
      `en ${f.seconds} : ${f.path}`,
    ].join(", "),
  tokens: (f) =>
    `${f.prompt} jetons lus (${f.cached} déjà en cache), ${f.output} écrits, ${f.speed} jetons/s`,
  otherKind: (f) =>
    `${f.lines === "1" ? "1 ligne demande" : `${f.lines} lignes demandent`} des ${f.kind === "text" ? "vecteurs" : "textes"} : suite, avec un plan à part`,
  ignoredColumns: (f) =>
    `colonnes laissées de côté : ${f.names} ; les réglages viennent de la ligne de commande, ou de lignes JSON`,
  unread: (f) =>
    `${f.path} : rien n'a été lu à partir de la ligne ${f.line} ; corrigez ses guillemets, puis donnez une autre sortie ou continuez avec --force`,
  interrupted: "Interrompu ; ce qui tournait est gardé. Pour continuer :",
  estimate: {
    lines: (f) =>
      `${f.lines === "1" ? "1 ligne" : `${f.lines} lignes`}${f.bad === "0" ? "" : `, dont ${f.bad} illisibles`}`,
    tokensIn: (f) => `lus    environ ${f.tokens} jetons (${f.each} par ligne, mesurés sur ${f.sampled})`,
    tokensOut: (f) => `écrits environ ${f.tokens} jetons (${f.each} par ligne : ${f.assumption})`,
    assumedLimits: "chaque réponse aussi longue que sa limite le permet",
    assumedDefault: (f) =>
      `${f.tokens} quand une ligne n'a pas de limite, sinon la limite ; --expect-tokens en dit autrement`,
    shared: (f) => `${f.percent} des jetons d'invite sont des débuts communs, calculés une fois`,
    time: (f) =>
      `temps  environ ${f.time} : ${f.sequences === "1" ? "1 séquence" : `${f.sequences} séquences`} à la fois, ${f.prefill} jetons/s lus, ${f.decode} écrits`,
    regime: (f) => `régime : ${f.explanation}`,
    timeReading: (f) => `temps  environ ${f.time} : ${f.prefill} jetons/s lus`,
    otherKind: (f) =>
      `${f.lines === "1" ? "1 ligne demande" : `${f.lines} lignes demandent`} autre chose que la première (textes ou vecteurs) : des erreurs dans ce travail`,
  },
  energy: {
    taken: (f) => `énergie ${f.energy} (${f.places})`,
    written: (f) => `${f.per} J pour 1 000 jetons écrits`,
    read: (f) => `${f.per} J pour 1 000 jetons lus`,
    refused: (f) => `énergie du processeur : seul root peut lire ${f.path}`,
    unknown: "énergie : rien ici ne dit sa puissance",
    estimated: (f) => `énergie au plus environ ${f.energy} (${f.wattHours} Wh) : ${f.powers}, tout le temps`,
    draws: (f) => `${f.place} ${f.watts} W (${f.basis})`,
    bases: { measured: "mesurés en charge par jauge doctor", limit: "sa limite de puissance" },
    without: (f) => `non compris : ${f.places}, dont rien ne dit la puissance`,
  },
};

export const batchMessages = { en, fr };
