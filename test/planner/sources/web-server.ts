import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface WebServer {
  url: (path: string) => string;
  /** Paths and ranges asked for so far. */
  requests: { path: string; range?: string; authorization?: string }[];
  /** What to answer under a path; a Buffer is served with ranges. */
  files: Map<string, Buffer | Handler>;
}

/** A server on this machine, closed after the tests of the file. */
export async function webServer(): Promise<WebServer> {
  const files: WebServer["files"] = new Map();
  const requests: WebServer["requests"] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
    const { range, authorization } = request.headers;
    requests.push({ path, ...(range ? { range } : {}), ...(authorization ? { authorization } : {}) });
    const file = files.get(path);
    if (!file) response.writeHead(404).end("not found");
    else if (typeof file === "function") file(request, response);
    else serveRange(file, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: (path) => `http://127.0.0.1:${port}${path}`, requests, files };
}

/** The first and last byte that a request asks for. */
export function rangeOf(request: IncomingMessage, bytes: number): [first: number, last: number] {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")!.map(Number);
  return [first!, Math.min(last!, bytes - 1)];
}

/** Answers as servers with ranges do. */
export function serveRange(
  file: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
  etag = '"1"',
): void {
  if (!request.headers.range) {
    response.writeHead(200, { "content-length": file.length }).end(file);
    return;
  }
  const [first, last] = rangeOf(request, file.length);
  if (first >= file.length) {
    response.writeHead(416, { "content-range": `bytes */${file.length}` }).end();
    return;
  }
  response.writeHead(206, {
    "content-length": last - first + 1,
    "content-range": `bytes ${first}-${last}/${file.length}`,
    etag,
  });
  response.end(file.subarray(first, last + 1));
}
