import { Agent, type Dispatcher } from 'undici';
import { COMPONENT } from '../domain/labels.ts';
import type { ClusterAccess } from './kube-config.ts';
import { askBeforeSending, type FencedOptions } from './http-fence.ts';
import { LineSplitter } from './line-splitter.ts';
import {
  NotSentError,
  TransportError,
  type KubeRequest,
  type KubeResponse,
  type KubeTransport,
  type KubeWatch,
  type PatchType,
  type WatchEvent,
} from './transport.ts';

const PATCH_CONTENT_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

/** etcd holds objects up to 1.5 MB by default; their JSON with managed fields stays far below this. */
const MAX_LINE_BYTES = 32 * 1024 * 1024;

export interface HttpTransportOptions {
  readonly access: ClusterAccess;
  /** For an answer in full; watches have their own limit. */
  readonly requestTimeoutMs?: number;
  /** Servers send a bookmark about once a minute: a watch that is silent for longer than this is dead. */
  readonly watchSilenceMs?: number;
  readonly maxLineBytes?: number;
  readonly userAgent?: string;
}

/**
 * {@link KubeTransport} over HTTP. Watches have connections of their own, so that their flow control never stands in the
 * way of a write: HTTP/2 with a ping, which notices a dead connection long before the silence limit does. Requests use
 * a small pool of HTTP/1.1 connections that are kept alive.
 */
export class HttpTransport implements KubeTransport {
  readonly #access: ClusterAccess;
  readonly #origin: string;
  readonly #pathPrefix: string;
  readonly #requests: Dispatcher;
  readonly #watches: Agent;
  readonly #requestTimeoutMs: number;
  readonly #watchSilenceMs: number;
  readonly #maxLineBytes: number;
  readonly #userAgent: string;

  constructor({ access, ...options }: HttpTransportOptions) {
    const url = new URL(access.server);
    this.#access = access;
    this.#origin = url.origin;
    this.#pathPrefix = url.pathname.replace(/\/+$/, '');
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
    this.#watchSilenceMs = options.watchSilenceMs ?? 150_000;
    this.#maxLineBytes = options.maxLineBytes ?? MAX_LINE_BYTES;
    this.#userAgent = options.userAgent ?? COMPONENT;
    const connect = {
      ...(access.ca && { ca: access.ca }),
      ...(access.cert && { cert: access.cert }),
      ...(access.key && { key: access.key }),
      ...(access.serverName && { servername: access.serverName }),
      rejectUnauthorized: !access.insecureSkipTlsVerify,
      timeout: 10_000,
    };
    const pool = new Agent({ connect, allowH2: false, connections: 32, keepAliveTimeout: 30_000 });
    this.#requests = pool.compose(askBeforeSending);
    this.#watches = new Agent({ connect, allowH2: true, pingInterval: 30_000 });
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    const deadline = AbortSignal.timeout(this.#requestTimeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline]) : deadline;
    try {
      const response = await this.#requests.request(await this.#options(request, signal, this.#requestTimeoutMs));
      return await responseOf(response);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      if (error instanceof NotSentError) throw error;
      if (deadline.aborted) throw failure(request, `no answer within ${this.#requestTimeoutMs} ms`, error);
      throw failure(request, messageOf(error), error);
    }
  }

  async watch(request: KubeRequest): Promise<KubeWatch> {
    const watching = { ...request, query: { ...request.query, watch: '1' } };
    try {
      const response = await this.#watches.request(await this.#options(watching, request.signal, this.#watchSilenceMs));
      if (response.statusCode !== 200) return { ...(await responseOf(response)), events: nothing() };
      return { status: 200, headers: headersOf(response), events: this.#eventsIn(response, request) };
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw failure(request, messageOf(error), error);
    }
  }

  /** Ends all connections, watches included. */
  async close(): Promise<void> {
    await Promise.all([this.#requests.destroy(), this.#watches.destroy()]);
  }

  async #options(request: KubeRequest, signal: AbortSignal | undefined, silenceMs: number): Promise<FencedOptions> {
    const { method, query, body, maySend } = request;
    const authorization = await this.#access.authorization();
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': this.#userAgent };
    if (authorization !== null) headers['authorization'] = authorization;
    if (body !== undefined) {
      headers['content-type'] = request.patchType ? PATCH_CONTENT_TYPES[request.patchType] : 'application/json';
    }
    const search = query && Object.keys(query).length > 0 ? `?${new URLSearchParams(query).toString()}` : '';
    return {
      origin: this.#origin,
      path: this.#pathPrefix + request.path + search,
      method,
      headers,
      headersTimeout: this.#requestTimeoutMs,
      bodyTimeout: silenceMs,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
      ...(maySend && { maySend }),
    };
  }

  async *#eventsIn({ body }: Dispatcher.ResponseData, request: KubeRequest): AsyncGenerator<WatchEvent> {
    const splitter = new LineSplitter(this.#maxLineBytes);
    // The error comes out of the iteration; a listener keeps the one after its end from ending the process.
    body.on('error', () => undefined);
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        for (const line of splitter.push(chunk)) yield JSON.parse(line.toString('utf8')) as WatchEvent;
      }
      const rest = splitter.rest();
      if (rest.length > 0) yield JSON.parse(rest.toString('utf8')) as WatchEvent;
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      // A SyntaxError quotes the text it could not read: objects do not belong into logs.
      if (error instanceof SyntaxError) throw failure(request, 'a line of the watch is not JSON', undefined);
      throw failure(request, messageOf(error), error);
    } finally {
      body.destroy();
    }
  }
}

async function* nothing(): AsyncGenerator<WatchEvent> {
  // A refused watch has no events.
}

async function responseOf(response: Dispatcher.ResponseData): Promise<KubeResponse> {
  const text = await response.body.text();
  return { status: response.statusCode, headers: headersOf(response), body: parsed(text) };
}

/** `/readyz` and proxies answer in plain text. */
function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function headersOf({ headers }: Dispatcher.ResponseData): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return result;
}

function failure({ method, path }: KubeRequest, message: string, cause: unknown): TransportError {
  return new TransportError(`${method} ${path}: ${message}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
