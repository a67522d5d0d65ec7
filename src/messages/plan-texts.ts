/** Sequences of a batch, the next number that was considered, and the requests there are. */
interface WidthFacts {
  sequences: number;
  next: number;
  requests: number;
}
const atOnce = ({ sequences }: WidthFacts) =>
  `${sequences} ${sequences === 1 ? "sequence" : "sequences"} at once`;
const aLaFois = ({ sequences }: WidthFacts) =>
  `${sequences} ${sequences === 1 ? "séquence" : "séquences"} à la fois`;

/** What a plan says about itself: sentences that go into the plan as data. */
const en = {
  /** What figures of decoding count for: a token, or one of each sequence. */
  per: (f: { tokens: number }) => (f.tokens === 1 ? "token" : `step of ${f.tokens} tokens`),
  bandwidth: (f: { place: string; bytes: string; rate: string; per: string }) =>
    `${f.place} bandwidth: ${f.bytes} read per ${f.per} at ${f.rate}/s`,
  arithmetic: (f: { place: string; bytes: string; rate: string; per: string }) =>
    `${f.place} arithmetic: ${f.bytes} of weights and KV cache computed per ${f.per} at ${f.rate}/s`,
  crossings: (f: { count: number; per: string }) => `hand-overs between processors: ${f.count} per ${f.per}`,
  link: (f: { bytes: string; rate: string; per: string }) =>
    `the link to the device: ${f.bytes} of weights and KV cache copied per ${f.per} at ${f.rate}/s`,
  disk: (f: { bytes: string; rate: string; per: string }) =>
    `the disk: ${f.bytes} read per ${f.per} at ${f.rate}/s`,
  microBatch: (f: { tokens: number }) =>
    `micro-batch of ${f.tokens} tokens: a larger one does not fit, or leaves too little room on a device`,
  context: (f: { tokens: string; wanted: string }) =>
    `context of ${f.tokens} tokens: ${f.wanted} do not fit the budgets`,
  beyondTrained: (f: { tokens: string; trained: string }) =>
    `context of ${f.tokens} tokens: the model was trained for ${f.trained}, and may ramble beyond`,
  kvType: (f: { type: string }) => `KV cache in ${f.type}: f16 does not fit the budgets`,
  streamed: "large batches are computed on the device with weights streamed from pinned RAM",
  streamedMapped: "large batches are computed on the device with weights streamed from the mapped file",
  layersInRam: (f: { bytes: string }) =>
    `${f.bytes} of the layers that you put on devices stay in RAM: there is no room for them`,
  repacked: "weights in RAM are laid out for the CPU's own kernels: faster here than streaming them",
  unified: (f: { device: string }) =>
    `the memory of ${f.device} is RAM: what it takes counts in both budgets`,
  deviceUnused: (f: { device: string }) =>
    `${f.device} stays empty: what fits there would not make it faster`,
  deviceTooSmall: (f: { device: string; bytes: string; needed: string }) =>
    `${f.device} stays empty: of its ${f.bytes} the runtime alone would take ${f.needed}`,
  overflow: (f: { bytes: string }) =>
    `${f.bytes} do not fit into RAM and are read from the disk again and again`,
  assumed: "speeds are assumed, not measured here: run jauge doctor",
  disturbed: (f: { percent: number }) =>
    `other programs took ${f.percent} % of the processor while speeds were measured: run jauge doctor --force when they are done`,
  /** Why so many sequences run at once. */
  width: {
    speed: (f: WidthFacts) => `${atOnce(f)}: ${f.next} would not be faster`,
    memory: (f: WidthFacts) => `${atOnce(f)}: ${f.next} do not fit, or only in ways that gain little`,
    requests: (f: WidthFacts) =>
      `${atOnce(f)}: ${f.requests === 1 ? "there is only 1 request" : `there are only ${f.requests} requests`}`,
    most: (f: WidthFacts) => `${atOnce(f)}: the most there can be`,
  },
  kvForMore: (f: { type: string; sequences: number }) =>
    `KV cache in ${f.type}: in f16 there is no room for ${f.sequences} sequences`,
  sharedCache: (f: { cells: number }) =>
    `one KV cache of ${f.cells} tokens for all sequences: who finds it full waits and goes on later`,
  decodeStreamed: (f: { device: string; bytes: string; sequences: number }) =>
    `${f.sequences} tokens at a time, one of each sequence, are computed on ${f.device}: ${f.bytes} of weights and KV cache are streamed there for all of them at once`,
  decodeOnHost: (f: { sequences: number }) =>
    `the CPU computes ${f.sequences} tokens at a time with the weights in RAM: faster here than streaming them`,
  decodeTooSmall: (f: { sequences: number; rows: number }) =>
    `the CPU computes ${f.sequences} tokens at a time with the weights in RAM: from ${f.rows} on they could be streamed to the device`,
  unknownSetting: "there is no such setting",
  noDevice: "this machine has no device for a VRAM budget: all is in RAM",
  /** Why a setting of the engine is none. */
  settings: {
    notWhole: (f: { value: number; least: number; most: number }) =>
      `${f.value} is not a whole number from ${f.least} to ${f.most}`,
    tooManyCells: "sequences × contextLength is over 2³¹",
    noMultiple: (f: { sequences: number; tokens: number }) =>
      `embeddings need a multiple of the ${f.sequences} sequences, not ${f.tokens}`,
    noneOf: (f: { value: string; names: string }) => `${f.value} is none of ${f.names}`,
    needsFlashAttention: (f: { type: string }) => `${f.type} needs flash attention, which is off`,
    noPattern: (f: { pattern: string }) => `${f.pattern} is not a regular expression`,
  },
  spaceTaken: (f: { device: string; taken: string; left: string }) =>
    `another program took ${f.taken} on ${f.device}: ${f.left} are left there (--yield makes room)`,
  yields: (f: { device: string; taken: string; left: string }) =>
    `another program took ${f.taken} on ${f.device}: moving to a smaller plan`,
  alternatives: {
    context: (f: { tokens: string; bytes: string }) => `a context of ${f.tokens} tokens (saves ${f.bytes})`,
    kvType: (f: { bytes: string }) => `a KV cache in q8_0 (saves ${f.bytes}, hardly changes answers)`,
    microBatch: (f: { tokens: number; bytes: string }) =>
      `micro-batches of ${f.tokens} tokens (saves ${f.bytes}, prompts are read more slowly)`,
    quantisation: (f: { mix: string; size: string; bytes: string; needsImportanceMatrix: boolean }) =>
      `the model at ${f.mix}: ${f.size} (saves ${f.bytes}, costs ${f.needsImportanceMatrix ? "much quality, needs an importance matrix" : "quality"})`,
    ram: (f: { bytes: string }) => `${f.bytes} more RAM`,
    ramBudget: (f: { bytes: string }) => `a RAM budget that is ${f.bytes} larger: so much is free`,
    vram: (f: { bytes: string; device: string }) => `${f.bytes} more memory on ${f.device}`,
    mapped: (f: { speed: string }) =>
      `the file mapped, and its weights used as they lie: about ${f.speed} tokens/s`,
    disk: (f: { bytes: string; speed: string }) =>
      `reading ${f.bytes} from the disk for every token: about ${f.speed} tokens/s`,
  },
};

const fr: typeof en = {
  per: (f) => (f.tokens === 1 ? "jeton" : `pas de ${f.tokens} jetons`),
  bandwidth: (f) =>
    `débit de ${f.place === "RAM" ? "la RAM" : f.place} : ${f.bytes} lus par ${f.per} à ${f.rate}/s`,
  arithmetic: (f) => `calcul de ${f.place} : ${f.bytes} de poids et de cache KV par ${f.per} à ${f.rate}/s`,
  crossings: (f) => `passages entre processeurs : ${f.count} par ${f.per}`,
  link: (f) =>
    `le lien vers le périphérique : ${f.bytes} de poids et de cache KV copiés par ${f.per} à ${f.rate}/s`,
  disk: (f) => `le disque : ${f.bytes} lus par ${f.per} à ${f.rate}/s`,
  microBatch: (f) =>
    `micro-lot de ${f.tokens} jetons : un plus grand ne tient pas, ou laisse trop peu de place sur un GPU`,
  context: (f) => `contexte de ${f.tokens} jetons : ${f.wanted} ne tiennent pas dans les budgets`,
  beyondTrained: (f) =>
    `contexte de ${f.tokens} jetons : le modèle est entraîné pour ${f.trained}, et peut divaguer au-delà`,
  kvType: (f) => `cache KV en ${f.type} : f16 ne tient pas dans les budgets`,
  streamed: "les grands lots sont calculés sur le périphérique, les poids lus depuis la RAM verrouillée",
  streamedMapped:
    "les grands lots sont calculés sur le périphérique, les poids lus depuis le fichier projeté",
  layersInRam: (f) =>
    `${f.bytes} des couches que vous mettez sur des périphériques restent en RAM : il n'y a pas la place`,
  repacked: "les poids en RAM sont rangés pour les noyaux du CPU : plus rapide ici que de les transférer",
  unified: (f) => `la mémoire de ${f.device} est de la RAM : ce qu'il prend compte dans les deux budgets`,
  deviceUnused: (f) => `${f.device} reste vide : ce qui y tient n'irait pas plus vite`,
  deviceTooSmall: (f) => `${f.device} reste vide : de ses ${f.bytes}, le moteur seul prendrait ${f.needed}`,
  overflow: (f) => `${f.bytes} ne tiennent pas en RAM et sont relus du disque sans cesse`,
  assumed: "les vitesses sont supposées, pas mesurées ici : lancez jauge doctor",
  disturbed: (f) =>
    `d'autres programmes prenaient ${f.percent} % du processeur pendant la mesure des vitesses : relancez jauge doctor --force quand ils ont fini`,
  width: {
    speed: (f) => `${aLaFois(f)} : ${f.next} n'iraient pas plus vite`,
    memory: (f) => `${aLaFois(f)} : ${f.next} ne tiennent pas, ou seulement de façons qui gagnent peu`,
    requests: (f) =>
      `${aLaFois(f)} : il n'y a que ${f.requests} ${f.requests === 1 ? "requête" : "requêtes"}`,
    most: (f) => `${aLaFois(f)} : le plus possible`,
  },
  kvForMore: (f) => `cache KV en ${f.type} : en f16, il n'y a pas la place de ${f.sequences} séquences`,
  sharedCache: (f) =>
    `un cache KV de ${f.cells} jetons pour toutes les séquences : qui le trouve plein attend et continue ensuite`,
  decodeStreamed: (f) =>
    `${f.sequences} jetons à la fois, un de chaque séquence, sont calculés sur ${f.device} : ${f.bytes} de poids et de cache KV y sont transmis en flux pour tous à la fois`,
  decodeOnHost: (f) =>
    `le processeur calcule ${f.sequences} jetons à la fois avec les poids en RAM : plus rapide ici que de les transmettre`,
  decodeTooSmall: (f) =>
    `le processeur calcule ${f.sequences} jetons à la fois avec les poids en RAM : à partir de ${f.rows}, ils pourraient être transmis au périphérique`,
  unknownSetting: "ce réglage n'existe pas",
  noDevice: "cette machine n'a pas de périphérique pour un budget de VRAM : tout est en RAM",
  settings: {
    notWhole: (f) => `${f.value} n'est pas un nombre entier de ${f.least} à ${f.most}`,
    tooManyCells: "séquences × contexte dépasse 2³¹",
    noMultiple: (f) => `les vecteurs demandent un multiple des ${f.sequences} séquences, pas ${f.tokens}`,
    noneOf: (f) => `${f.value} n'est pas parmi ${f.names}`,
    needsFlashAttention: (f) => `${f.type} demande flash attention, qui est coupé`,
    noPattern: (f) => `${f.pattern} n'est pas une expression régulière`,
  },
  spaceTaken: (f) =>
    `un autre programme a pris ${f.taken} sur ${f.device} : il y reste ${f.left} (--yield fait de la place)`,
  yields: (f) => `un autre programme a pris ${f.taken} sur ${f.device} : passage à un plan plus petit`,
  alternatives: {
    context: (f) => `un contexte de ${f.tokens} jetons (économise ${f.bytes})`,
    kvType: (f) => `un cache KV en q8_0 (économise ${f.bytes}, change à peine les réponses)`,
    microBatch: (f) =>
      `des micro-lots de ${f.tokens} jetons (économise ${f.bytes}, les invites sont lues plus lentement)`,
    quantisation: (f) =>
      `le modèle en ${f.mix} : ${f.size} (économise ${f.bytes}, coûte ${f.needsImportanceMatrix ? "beaucoup de qualité, demande une matrice d'importance" : "en qualité"})`,
    ram: (f) => `${f.bytes} de RAM de plus`,
    ramBudget: (f) => `un budget de RAM plus grand de ${f.bytes} : autant est libre`,
    vram: (f) => `${f.bytes} de mémoire de plus sur ${f.device}`,
    mapped: (f) => `le fichier projeté, ses poids pris tels quels : environ ${f.speed} jetons/s`,
    disk: (f) => `lire ${f.bytes} du disque à chaque jeton : environ ${f.speed} jetons/s`,
  },
};

export const planTexts = { en, fr };
