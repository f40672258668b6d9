import { constants } from 'node:crypto';
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { PeerConfiguration } from '../../config/configuration.ts';
import { fetchedWithinMs } from '../../domain/restore-time.ts';
import { AppError } from '../../observe/error-codes.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../ports/clock.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { decodeManifest, type Manifest } from '../state/manifest.ts';
import type { Entitlements } from './entitlements.ts';
import { nodeOf, type PeerIdentity } from './peer-identity.ts';
import { TransferSlots } from './transfer-slots.ts';

const PIECE_BYTES = 1024 * 1024;
const PATH = /^\/v1\/states\/([a-z0-9._-]+)\/(manifest\.json|files\/[\w./-]+)\?ticket=([a-z0-9.-]+)$/;

export interface PeerServerOptions {
  readonly peer: PeerConfiguration;
  readonly identity: Pick<PeerIdentity, 'current' | 'onChange'>;
  readonly entitlements: Pick<Entitlements, 'refusal'>;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Gives saved pods to other agents: `GET /v1/states/<reference>/manifest.json?ticket=<name>` and `…/files/<path>?ticket=<name>` for each
 * file that the manifest names, with `Range: bytes=N-`. Memory of pods is in them: the certificate says which node asks, and the ticket,
 * read from the API server, whether the pod that continues this state is on that node (`entitlements.ts`). Answers 503 while too many
 * states are given away (`transfer-slots.ts`), and gives up a node that reads a file for longer than its fetch may take.
 */
export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #server: Server;
  readonly #slots: TransferSlots;

  private constructor(options: PeerServerOptions) {
    this.#options = options;
    this.#slots = new TransferSlots(options.clock);
    // Without a certificate every handshake fails, until there is one.
    this.#server = createServer({ requestCert: true, rejectUnauthorized: false }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        options.log.warn({ err: error, path: request.url }, 'a state could not be given away');
        response.destroy();
      });
    });
    this.#renew();
    options.identity.onChange(() => this.#renew());
  }

  /** Rejects with an `AppError` where it cannot listen. */
  static async start(options: PeerServerOptions): Promise<PeerServer> {
    const { address, port } = options.peer;
    const peer = new PeerServer(options);
    await new Promise<void>((resolve, reject) => {
      peer.#server.once('error', reject).listen({ host: address, port }, () => {
        peer.#server.off('error', reject);
        resolve();
      });
    }).catch((error: NodeJS.ErrnoException) => {
      throw new AppError('ListenFailed', { address: `${address}:${port}`, cause: error.message }, error);
    });
    peer.#server.on('error', (error) => options.log.error({ err: error }, 'a connection could not be accepted'));
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { entitlements } = this.#options;
    const node = askingNode(request.socket as TLSSocket);
    if (node === null) return end(response, 401);
    if (request.method !== 'GET') return end(response, 405);
    const [, reference = '', name = '', ticket = ''] = PATH.exec(request.url ?? '') ?? [];
    const layout = layoutOf(this.#options.stateDir, reference);
    if (layout === null) return end(response, 404);
    if ((await entitlements.refusal({ node, reference, ticket })) !== null) return end(response, 403);
    const leave = this.#slots.enter(node, reference);
    if (leave === null) return end(response, 503);
    try {
      await this.#give(request, response, { layout, name });
    } finally {
      leave();
    }
  }

  async #give(
    request: IncomingMessage,
    response: ServerResponse,
    { layout, name }: { readonly layout: SavedPodLayout; readonly name: string },
  ): Promise<void> {
    const { clock } = this.#options;
    const encoded = await readFile(layout.manifest, 'utf8').catch(() => null);
    if (encoded === null) return end(response, 404);
    if (name === 'manifest.json') return end(response, 200, encoded);
    const file = fileIn(decodeManifest(encoded), name.slice('files/'.length));
    if (file === undefined) return end(response, 404);
    const timer = clock.setTimer(fetchedWithinMs(file.bytes), () => response.destroy());
    try {
      await sendFile(request, response, join(layout.folder, file.path));
    } finally {
      timer.cancel();
    }
  }

  #renew(): void {
    const credentials = this.#options.identity.current;
    if (credentials === null) return;
    // No session resumption: a resumed session counts as authorized although nobody showed a certificate.
    this.#server.setSecureContext({
      ...credentials,
      minVersion: 'TLSv1.3',
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
  }
}

/** The node that the certificate of the other side is for; null where that is none of an agent. */
function askingNode(socket: TLSSocket): string | null {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? null : nodeOf(certificate);
}

function layoutOf(stateDir: string, reference: string): SavedPodLayout | null {
  try {
    return SavedPodLayout.of(stateDir, reference);
  } catch {
    return null; // no name of a state
  }
}

function fileIn(manifest: Manifest | null, path: string): Manifest['files'][number] | undefined {
  return manifest?.files.find((file) => file.path === path);
}

async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  );
  if (size === null) return end(response, 404); // it was there once: whoever asks must not wait for it to come back
  const from = Number(/^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0 && from >= size) return end(response, 416);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': size - from,
    ...(from > 0 && { 'content-range': `bytes ${from}-${size - 1}/${size}` }),
  });
  const file = await open(path, 'r');
  try {
    await sendFrom(file, { from, pieceBytes: Math.min(PIECE_BYTES, size - from + 1) }, response);
  } finally {
    await file.close();
  }
}

/** Reads a piece while the one before is sent, with two buffers: a stream would leave a new one behind for each piece. */
async function sendFrom(
  file: FileHandle,
  { from, pieceBytes }: { readonly from: number; readonly pieceBytes: number },
  response: ServerResponse,
): Promise<void> {
  let [reading, sending] = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)];
  let sent: Promise<void> = Promise.resolve();
  for (let at = from; ;) {
    const { bytesRead } = await file.read(reading, 0, pieceBytes, at);
    await sent;
    if (bytesRead === 0) break;
    at += bytesRead;
    [reading, sending] = [sending, reading];
    sent = send(response, sending.subarray(0, bytesRead));
    sent.catch(() => {}); // awaited before the next piece
  }
  response.end();
}

/** Resolves when the piece has been handed to the network; rejects when the connection is gone. */
function send(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error('the connection was closed'));
    response.once('close', gone);
    response.write(piece, (error) => {
      response.off('close', gone);
      if (error) reject(error);
      else resolve();
    });
  });
}

function end(response: ServerResponse, status: number, body = ''): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
}
