const range = (
  f: { low: number; high: number },
  words: { from: string; to: string; least: string; most: string },
) => {
  if (Number.isFinite(f.low) && Number.isFinite(f.high))
    return ` ${words.from} ${f.low} ${words.to} ${f.high}`;
  if (Number.isFinite(f.low)) return `, ${words.least} ${f.low}`;
  return Number.isFinite(f.high) ? `, ${words.most} ${f.high}` : "";
};
const english = { from: "from", to: "to", least: "at least", most: "at most" };
const french = { from: "de", to: "à", least: "au moins", most: "au plus" };

const en = {
  expected: {
    integer: (f: { low: number; high: number }) => `a whole number${range(f, english)}`,
    decimal: (f: { low: number; high: number }) => `a number${range(f, english)}`,
    positive: () => "a number above 0",
    fileName: () => "the name of a file",
    oneOf: (f: { choices: string }) => `one of ${f.choices}`,
    layers: () => "a number of layers, all or auto",
    placement: () => "PATTERN=DEVICE, where PATTERN is a regular expression over tensor names",
    scaledAdapter: () => "FILE:SCALE",
    scaledFolder: () => "FOLDER:SCALE",
    logitBias: () => "TOKEN_ID+BIAS or TOKEN_ID-BIAS, such as 15043+1",
    tokenIds: () => "token ids, numbers separated by blanks or commas",
    promptAndGeneration: () => "PROMPT,GENERATED, such as 512,128",
    texts: () => "at least two texts",
  },
  labels: {
    error: "error:",
    fix: "fix:",
    warning: "note:",
    usage: "Usage:",
    options: "Options:",
    arguments: "Arguments:",
    commands: "Commands:",
    examples: "Examples:",
    exitCodes: "Exit codes:",
  },
  exitCodes: [
    "0  done",
    "1  failed",
    "2  wrong command, option or input",
    "3  the model or another file cannot be used",
    "4  not enough memory",
    "5  the engine crashed",
    "130  interrupted",
  ],
  program: {
    description: "Runs large language models on a personal computer inside exactly the memory it is given.",
    help: "show this help",
    version: "show the version",
    defaultCommand: "Without a command: run.",
  },
  usage: {
    unknownOption: (f: { name: string; similar: string }) =>
      `There is no option ${f.name}${f.similar ? `; did you mean ${f.similar}?` : ""}`,
    optionNeedsValue: (f: { name: string }) => `${f.name} needs a value`,
    missingArgument: (f: { name: string }) => `${f.name} is missing`,
    tooManyArguments: () => "There are too many arguments (a prompt of several words needs quotes)",
  },
  unexpected: {
    fix: "This is a defect. Run again with --verbose to see where it comes from, and report it.",
    ignored: (f: { options: string }) => `no effect here: ${f.options}`,
  },
  run: {
    description: "Chat with a model, or get one answer to a prompt",
    model: "model file (GGUF); the embedded story model where absent",
    prompt: "one prompt to answer; a chat opens where there is none",
    waiting: "waiting for a prompt on standard input…",
    loading: (f: { model: string }) => `loading ${f.model}`,
    droppedTurns: (f: { turns: number }) =>
      f.turns === 1
        ? "the oldest turn was left out: the context is full"
        : `the ${f.turns} oldest turns were left out: the context is full`,
    ended: {
      length: "ended at the token limit",
      context: "ended: the context is full",
      time: "ended at the time limit",
      cancelled: "interrupted",
    },
  },
  stats: {
    prompt: "prompt",
    generation: "generation",
    firstToken: "first token",
    speculation: "speculation",
    memory: (f: { device: string }) => `memory ${f.device}`,
    tokens: (f: { tokens: number; cached: number }) =>
      `${f.tokens} tokens${f.cached > 0 ? ` (${f.cached} from the cache)` : ""}`,
    speed: (f: { speed: string }) => `${f.speed} tokens/s`,
    accepted: (f: { accepted: number; tried: number }) =>
      `${f.accepted} of ${f.tried} guessed tokens were right`,
    memoryParts: (f: { weights: string; kv: string; compute: string; runtime: string }) =>
      `weights ${f.weights}, KV cache ${f.kv}, compute ${f.compute}, runtime ${f.runtime}`,
  },
  chat: {
    embedded:
      "stories260K: a very small model that comes with jauge. It continues short stories in English; it does not chat.\nBegin one: Once upon a time, there was a little fox",
    otherModel: "For another model: jauge run MODEL.gguf",
    model: (f: { description: string; context: number }) =>
      `${f.description}, ${f.context} tokens of context`,
    hint: "/help shows the commands. Ctrl-C stops an answer, Ctrl-D leaves.",
    pressAgain: "Press Ctrl-C again to leave, or go on.",
    commands: {
      system: '/system TEXT     set the system prompt; without TEXT show it, "" removes it',
      save: "/save FILE       save the conversation",
      load: "/load FILE       go on with a saved conversation",
      clear: "/clear           forget the conversation; the system prompt stays",
      set: "/set NAME VALUE  change a setting (temp, top-k, seed, predict, …); /set lists them",
      stats: "/stats           speed of the last answer, and memory",
      help: "/help            show this",
      exit: "/exit            leave",
    },
    keys: 'A line that ends in \\ goes on in the next. """ opens and closes a text of several lines.',
    unknownCommand: (f: { command: string }) => `There is no command ${f.command}. /help shows them.`,
    needsFile: (f: { command: string }) => `Give a file: ${f.command} FILE`,
    noSystem: "There is no system prompt.",
    systemSet: "The system prompt is set.",
    systemRemoved: "The system prompt is removed.",
    cleared: "The conversation is cleared.",
    saved: (f: { path: string; messages: number }) => `${f.messages} messages saved to ${f.path}`,
    loaded: (f: { path: string; messages: number }) => `${f.messages} messages loaded from ${f.path}`,
    noAnswerYet: "There is no answer yet.",
    unset: "default",
  },
  tokenize: {
    description: "Show the tokens of a text, or the text of tokens",
    text: "the text; token ids with --detokenize",
    file: "read the text from a file; - is standard input",
    ids: "print the ids only, on one line",
    count: "print the number of tokens only",
    noBos: "do not add the beginning-of-sequence token",
    noParseSpecial: "read control tokens in the text as plain text",
    detokenize: "print the text of token ids",
  },
  embed: {
    description: "Turn texts into vectors",
    text: "texts; lines of standard input where absent",
    file: "read texts from a file, one a line; - is standard input",
    pooling: "how the tokens' vectors become one (the model's own)",
    noNormalize: "do not scale vectors to length 1",
    similarity: "print how alike the texts are (cosine), instead of vectors",
  },
  bench: {
    description: "Measure prompt and generation speed, in llama-bench's rows",
    nPrompt: "prompt lengths (512)",
    nGen: "lengths of generated text (128)",
    pg: "prompt and generation in one test; can be repeated",
    repetitions: "measurements of each test (5)",
    batchSize: "most tokens computed at once; bounds --ubatch-size (2048)",
    ubatchSize: "tokens computed at once (512)",
    threads: "CPU threads",
    nGpuLayers: "layers placed on the devices",
    note: "t/s: median ± standard deviation. One warm-up run is not counted. Values separated by commas make a row each.",
  },
};

const fr: typeof en = {
  expected: {
    integer: (f) => `un nombre entier${range(f, french)}`,
    decimal: (f) => `un nombre${range(f, french)}`,
    positive: () => "un nombre supérieur à 0",
    fileName: () => "le nom d'un fichier",
    oneOf: (f) => `l'un de ${f.choices}`,
    layers: () => "un nombre de couches, all ou auto",
    placement: () => "MOTIF=PÉRIPHÉRIQUE, où MOTIF est une expression régulière sur les noms des tenseurs",
    scaledAdapter: () => "FICHIER:ÉCHELLE",
    scaledFolder: () => "DOSSIER:ÉCHELLE",
    logitBias: () => "JETON+BIAIS ou JETON-BIAIS, comme 15043+1",
    tokenIds: () => "des numéros de jetons, séparés par des blancs ou des virgules",
    promptAndGeneration: () => "INVITE,RÉPONSE, comme 512,128",
    texts: () => "au moins deux textes",
  },
  labels: {
    error: "erreur :",
    fix: "remède :",
    warning: "note :",
    usage: "Emploi :",
    options: "Options :",
    arguments: "Arguments :",
    commands: "Commandes :",
    examples: "Exemples :",
    exitCodes: "Codes de sortie :",
  },
  exitCodes: [
    "0  fait",
    "1  échec",
    "2  commande, option ou entrée fausse",
    "3  le modèle ou un autre fichier est inutilisable",
    "4  mémoire insuffisante",
    "5  le moteur s'est arrêté brutalement",
    "130  interrompu",
  ],
  program: {
    description:
      "Fait tourner de grands modèles de langage sur un ordinateur personnel, dans la mémoire exacte qu'on lui donne.",
    help: "montrer cette aide",
    version: "montrer la version",
    defaultCommand: "Sans commande : run.",
  },
  usage: {
    unknownOption: (f) =>
      `L'option ${f.name} n'existe pas${f.similar ? ` ; vouliez-vous dire ${f.similar} ?` : ""}`,
    optionNeedsValue: (f) => `${f.name} demande une valeur`,
    missingArgument: (f) => `Il manque ${f.name}`,
    tooManyArguments: () => "Il y a trop d'arguments (une invite de plusieurs mots se met entre guillemets)",
  },
  unexpected: {
    fix: "C'est un défaut. Relancez avec --verbose pour voir d'où il vient, et signalez-le.",
    ignored: (f) => `sans effet ici : ${f.options}`,
  },
  run: {
    description: "Discuter avec un modèle, ou obtenir une réponse à une invite",
    model: "fichier du modèle (GGUF) ; sans lui, le modèle à histoires embarqué",
    prompt: "une invite ; sans elle, une discussion s'ouvre",
    waiting: "une invite est attendue sur l'entrée standard…",
    loading: (f) => `chargement de ${f.model}`,
    droppedTurns: (f) =>
      f.turns === 1
        ? "le plus ancien échange a été laissé de côté : le contexte est plein"
        : `les ${f.turns} plus anciens échanges ont été laissés de côté : le contexte est plein`,
    ended: {
      length: "fini à la limite de jetons",
      context: "fini : le contexte est plein",
      time: "fini à la limite de temps",
      cancelled: "interrompu",
    },
  },
  stats: {
    prompt: "invite",
    generation: "réponse",
    firstToken: "premier jeton",
    speculation: "spéculation",
    memory: (f) => `mémoire ${f.device}`,
    tokens: (f) => `${f.tokens} jetons${f.cached > 0 ? ` (${f.cached} déjà en cache)` : ""}`,
    speed: (f) => `${f.speed} jetons/s`,
    accepted: (f) => `${f.accepted} jetons devinés justes sur ${f.tried}`,
    memoryParts: (f) => `poids ${f.weights}, cache KV ${f.kv}, calcul ${f.compute}, exécution ${f.runtime}`,
  },
  chat: {
    embedded:
      "stories260K : un très petit modèle livré avec jauge. Il continue de courtes histoires en anglais ; il ne discute pas.\nCommencez-en une : Once upon a time, there was a little fox",
    otherModel: "Pour un autre modèle : jauge run MODÈLE.gguf",
    model: (f) => `${f.description}, contexte de ${f.context} jetons`,
    hint: "/help montre les commandes. Ctrl-C arrête une réponse, Ctrl-D quitte.",
    pressAgain: "Encore Ctrl-C pour quitter, ou continuez.",
    commands: {
      system: '/system TEXTE    fixer l\'invite système ; sans TEXTE la montrer, "" la retire',
      save: "/save FICHIER    enregistrer la conversation",
      load: "/load FICHIER    reprendre une conversation enregistrée",
      clear: "/clear           oublier la conversation ; l'invite système reste",
      set: "/set NOM VALEUR  changer un réglage (temp, top-k, seed, predict, …) ; /set les montre",
      stats: "/stats           vitesse de la dernière réponse, et mémoire",
      help: "/help            montrer ceci",
      exit: "/exit            quitter",
    },
    keys: 'Une ligne qui finit par \\ continue à la suivante. """ ouvre et ferme un texte de plusieurs lignes.',
    unknownCommand: (f) => `La commande ${f.command} n'existe pas. /help les montre.`,
    needsFile: (f) => `Donnez un fichier : ${f.command} FICHIER`,
    noSystem: "Il n'y a pas d'invite système.",
    systemSet: "L'invite système est fixée.",
    systemRemoved: "L'invite système est retirée.",
    cleared: "La conversation est effacée.",
    saved: (f) => `${f.messages} messages enregistrés dans ${f.path}`,
    loaded: (f) => `${f.messages} messages lus dans ${f.path}`,
    noAnswerYet: "Il n'y a pas encore de réponse.",
    unset: "par défaut",
  },
  tokenize: {
    description: "Montrer les jetons d'un texte, ou le texte de jetons",
    text: "le texte ; des numéros de jetons avec --detokenize",
    file: "lire le texte d'un fichier ; - est l'entrée standard",
    ids: "n'écrire que les numéros, sur une ligne",
    count: "n'écrire que le nombre de jetons",
    noBos: "ne pas ajouter le jeton de début",
    noParseSpecial: "lire les jetons de contrôle du texte comme du texte",
    detokenize: "écrire le texte de numéros de jetons",
  },
  embed: {
    description: "Changer des textes en vecteurs",
    text: "des textes ; sans eux, les lignes de l'entrée standard",
    file: "lire les textes d'un fichier, un par ligne ; - est l'entrée standard",
    pooling: "comment les vecteurs des jetons en font un (selon le modèle)",
    noNormalize: "ne pas ramener les vecteurs à la longueur 1",
    similarity: "écrire la ressemblance des textes (cosinus), au lieu des vecteurs",
  },
  bench: {
    description: "Mesurer la vitesse des invites et des réponses, dans les termes de llama-bench",
    nPrompt: "longueurs d'invite (512)",
    nGen: "longueurs de réponse (128)",
    pg: "invite et réponse dans une mesure ; peut être répété",
    repetitions: "mesures de chaque ligne (5)",
    batchSize: "nombre maximal de jetons calculés à la fois ; borne --ubatch-size (2048)",
    ubatchSize: "jetons calculés à la fois (512)",
    threads: "fils du processeur",
    nGpuLayers: "couches placées sur les périphériques",
    note: "t/s : médiane ± écart type. Un premier passage n'est pas compté. Des valeurs séparées par des virgules font chacune une ligne.",
  },
};

export const cliMessages = { en, fr };
