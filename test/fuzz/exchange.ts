import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** What is written to one connection, piece by piece. */
export interface Conversation {
  readonly pieces: readonly (string | Buffer)[];
  /** Milliseconds between two pieces. */
  readonly pauseMs?: number;
  /** The writing side is closed after the last piece. */
  readonly isEnded?: boolean;
  /** The connection is cut after the last piece, unread. */
  readonly isCut?: boolean;
}

/** How long the other side may take before it is taken for stuck. Far above what any answer needs. */
const STUCK_MS = 60_000;

/**
 * Writes, and reads until `isComplete` or the other side closes. Rejects when neither happens. A connection that is reset
 * ends as a closed one does: what was read before it counts.
 */
export async function converse(
  port: number,
  { pieces, pauseMs = 0, isEnded = false, isCut = false }: Conversation,
  isComplete: (answers: readonly RawAnswer[]) => boolean = () => false,
): Promise<readonly RawAnswer[]> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const received: Buffer[] = [];
  const finished = Promise.withResolvers<void>();
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    try {
      if (isComplete(answersIn(Buffer.concat(received)))) finished.resolve();
    } catch (error) {
      finished.reject(error);
    }
  });
  socket.on('error', () => finished.resolve());
  socket.on('end', () => finished.resolve());
  socket.on('close', () => finished.resolve());
  finished.promise.catch(() => undefined); // it may be rejected while pieces are still written
  const stuck = setTimeout(() => finished.reject(new Error(`no end after ${STUCK_MS} ms`)), STUCK_MS);
  try {
    for (const piece of pieces) {
      if (!(await written(socket, piece))) break;
      if (pauseMs > 0) await pause(pauseMs);
    }
    if (isCut) return [];
    if (isEnded) socket.end();
    await finished.promise;
    return answersIn(Buffer.concat(received));
  } finally {
    clearTimeout(stuck);
    socket.destroy();
  }
}

/** False when the other side does not read any more. */
function written(socket: Socket, piece: string | Buffer): Promise<boolean> {
  // The callback is called, with an error, for what a connection that closes has not sent.
  return new Promise((resolve) => {
    if (socket.writable) socket.write(piece, (error) => resolve(!error));
    else resolve(false);
  });
}

/** The whole answers in a stream; a part of one at its end is not among them. Interim ones (1xx) are passed over. */
function answersIn(stream: Buffer): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = stream.toString('latin1');
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return answers;
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(statusLine)?.[1]);
    if (Number.isNaN(status)) throw new Error(`not an answer: ${statusLine.slice(0, 80)}`);
    const headers = new Map(lines.map((line) => [line.split(':')[0]?.toLowerCase(), line.replace(/^[^:]*: */, '')]));
    const length = Number(headers.get('content-length') ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length < length) return answers;
    rest = rest.slice(end + 4 + length);
    // Node.js' own refusals have no body, and say so this way.
    if (headers.get('transfer-encoding') === 'chunked') rest = rest.replace(/^0\r\n\r\n/, '');
    if (status < 200) continue;
    const text = Buffer.from(body, 'latin1').toString();
    answers.push({ status, contentType: headers.get('content-type') ?? '', body: text });
  }
}
