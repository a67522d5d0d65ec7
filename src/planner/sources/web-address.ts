/** Where a file on the web is, and how it is called here. */
export interface WebAddress {
  url: URL;
  /** For people: without user name and password. */
  path: string;
}

/**
 * The address that a name stands for; undefined where it is no web address. Accepts `http(s)://…` and
 * `hf:owner/repository[@revision][/file]`. A page of Hugging Face that shows a file (`/blob/`) stands for the file, and
 * a repository for its config.json.
 *
 * Source: huggingface.co/docs/hub/models-downloading; HF_ENDPOINT as in huggingface_hub.
 */
export function webAddress(name: string): WebAddress | undefined {
  if (name.startsWith("hf:")) {
    const match = /^hf:([^/\s@]+)\/([^/\s@]+)(?:@([^/\s]+))?(?:\/(.+))?$/.exec(name);
    if (!match) return undefined;
    const [, owner, repository, revision = "main", file = "config.json"] = match;
    const parts = [owner!, repository!, "resolve", revision, ...file.split("/")];
    return { url: new URL(parts.map(encodeURIComponent).join("/"), `${huggingFace().href}`), path: name };
  }
  if (!/^https?:\/\//i.test(name) || !URL.canParse(name)) return undefined;
  const url = asFile(new URL(name));
  const shown = new URL(url);
  shown.username = "";
  shown.password = "";
  return { url, path: shown.href };
}

/** The file of this name in the same folder, with the same query. */
export function besideOf({ url }: WebAddress, fileName: string): WebAddress {
  const other = new URL(url);
  other.pathname = url.pathname.replace(/[^/]*$/, encodeURIComponent(fileName));
  const shown = new URL(other);
  shown.username = "";
  shown.password = "";
  return { url: other, path: shown.href };
}

/** The last part of an address's path, decoded. */
export function fileNameOf({ url }: WebAddress): string {
  const last = url.pathname.split("/").at(-1)!;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** The hub, or the mirror that HF_ENDPOINT names. */
export function huggingFace(): URL {
  const endpoint = process.env.HF_ENDPOINT;
  const url = new URL(endpoint && URL.canParse(endpoint) ? endpoint : "https://huggingface.co");
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

function asFile(url: URL): URL {
  if (url.host !== huggingFace().host) return url;
  const [owner, repository, kind, ...rest] = url.pathname.split("/").filter(Boolean);
  if (!owner || !repository || owner === "datasets" || owner === "spaces") return url;
  const file = new URL(url);
  if (kind === undefined) file.pathname = `/${owner}/${repository}/resolve/main/config.json`;
  if (kind === "blob") file.pathname = `/${[owner, repository, "resolve", ...rest].join("/")}`;
  if (kind === "tree")
    file.pathname = `/${[owner, repository, "resolve", ...(rest.length > 0 ? rest : ["main"]), "config.json"].join("/")}`;
  return file;
}
