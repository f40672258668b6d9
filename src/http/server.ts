import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { promisify } from 'node:util';
import type { ClientRules } from '../config/configuration.ts';
import { AppError, type ErrorCode } from '../observe/error-codes.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { createApp, type AppOptions } from './app.ts';
import { watchHandshakes } from './handshakes.ts';
import type { TlsMaterial } from './tls-context.ts';
import type { TlsSource } from './tls-source.ts';

/**
 * Above the 90 s after which Go's client gives an idle connection up. Where the server closes first, Go may just be
 * sending on it; a POST is not repeated, and with `ignorable: true` that is a preemption behind our back.
 */
const KEEP_ALIVE_MS = 120_000;
/** Must be above the keep-alive time, or an idle connection is cut when the next head arrives. */
const HEADERS_MS = KEEP_ALIVE_MS + 5_000;
const REQUEST_MS = 180_000;
/** How often connections are looked at that have taken too long, at most. */
const CHECK_MS = 30_000;
const TLS_CHECK_MS = 60_000;
/**
 * How long `close` waits for calls under way: longer than their callers do (2 s in config/kube-scheduler.yaml and in
 * deploy/webhook.yaml), and well within the 30 s after which a kubelet kills us.
 */
const DRAIN_MS = 10_000;

/** HTTPS: whose certificate is shown, and who may call what. */
export interface ServerTls extends ClientRules {
  readonly source: TlsSource;
}

export interface ServerOptions extends AppOptions {
  /** Null: plain HTTP. */
  readonly tls: ServerTls | null;
  /** Paces the look for another certificate. */
  readonly clock: Clock;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** How long a request may take to arrive; then it is answered with 408. Default: three minutes. */
  readonly requestMs?: number;
}

export interface RunningServer {
  /** Where it listens. */
  readonly address: string;
  readonly port: number;
  /** Stops accepting, closes idle connections, lets calls under way finish; cuts what is still open after 10 s. */
  close(): Promise<void>;
}

/**
 * Starts the HTTP or HTTPS server. Rejects with an `AppError` that says what to do when it cannot listen.
 *
 * With TLS every client may connect, with or without a certificate, and each path decides ({@link createApp}): one
 * listener serves kube-scheduler, which has a certificate, and kube-apiserver and the kubelet, which have none.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const app = createApp(options);
  const { requestMs = REQUEST_MS } = options;
  const timeouts = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: Math.min(HEADERS_MS, requestMs),
    requestTimeout: requestMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, requestMs),
  };
  let server: Server | HttpsServer;
  let watch: Timer | null = null;
  if (options.tls === null) {
    server = createHttpServer(timeouts, app);
  } else {
    const material = await options.tls.source.current();
    const clients = { requestCert: options.tls.clientCaFile !== null, rejectUnauthorized: false };
    const https = createHttpsServer({ ...timeouts, ...clients, ...material.options }, app);
    watch = watchTls(https, options.tls.source, material, options);
    watchHandshakes(https, options.log);
    server = https;
  }
  const close = gracefulCloser(server, options.clock);
  try {
    await listen(server, options);
  } catch (error) {
    watch?.cancel();
    throw error;
  }
  // Such as being out of file descriptors for a moment: without a listener it would end the process.
  server.on('error', (error) => options.log.error({ err: error }, 'a connection could not be accepted'));
  const bound = server.address() as AddressInfo;
  return {
    address: bound.address,
    port: bound.port,
    close: () => {
      watch?.cancel();
      return close();
    },
  };
}

/** Takes another certificate over within a minute. One that cannot be had or served (a rotation half done) leaves the former in use. */
function watchTls(server: HttpsServer, source: TlsSource, first: TlsMaterial, { clock, log }: ServerOptions): Timer {
  let current = first;
  let cancelled = false;
  let timer: Timer;
  const check = async (): Promise<void> => {
    try {
      const next = await source.current();
      if (next.text !== current.text && !cancelled) {
        server.setSecureContext(next.options);
        current = next;
        log.info({ serial: next.serial, notAfter: next.notAfter }, 'serving the changed certificate');
      }
    } catch (error) {
      log.warn({ err: error, notAfter: current.notAfter }, 'no certificate to change to; serving the former one');
    }
    if (!cancelled) plan();
  };
  const plan = (): void => {
    timer = clock.setTimer(TLS_CHECK_MS, () => void check());
  };
  plan();
  return {
    cancel: () => {
      cancelled = true;
      timer.cancel();
    },
  };
}

function listen(server: Server, { address, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, `${address}:${port}`));
    server.once('error', onError);
    server.listen({ host: address, port }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

const LISTEN_ERRORS: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'AddressInUse',
  EACCES: 'AddressForbidden',
  EADDRNOTAVAIL: 'AddressUnavailable',
  ENOTFOUND: 'AddressUnavailable',
};

function listenError(error: NodeJS.ErrnoException, address: string): AppError {
  return new AppError(LISTEN_ERRORS[error.code ?? ''] ?? 'ListenFailed', { address, cause: error.message }, error);
}

/**
 * Node.js closes the connections that are idle when it stops accepting, and waits for the others; those would stay open
 * for the whole keep-alive time once they are answered, so each is closed then. A connection that never asked anything,
 * or stopped within a request, counts as busy, and Node.js no longer times it out: the deadline is for those.
 */
function gracefulCloser(server: Server, clock: Clock): () => Promise<void> {
  const sockets = new Set<Socket>(); // open connections, TLS handshakes under way included
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  let closing: Promise<void> | null = null;
  server.on('request', (_request, response) => {
    response.once('close', () => {
      if (closing !== null) server.closeIdleConnections();
    });
  });
  const drain = async (): Promise<void> => {
    const deadline = clock.setTimer(DRAIN_MS, () => {
      for (const socket of sockets) socket.destroy();
    });
    try {
      await promisify((done: (error?: Error) => void) => server.close(done))();
    } finally {
      deadline.cancel();
    }
  };
  return () => (closing ??= drain());
}
