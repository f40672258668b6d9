import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

const HEAD_END = Buffer.from('\r\n\r\n');
const CHUNKED_END = Buffer.from('0\r\n\r\n');

/**
 * One kept-alive connection on which one call follows the other, as kube-scheduler does it. Plain bytes, so that what is
 * timed is the extender and not an HTTP client.
 */
export class Client {
  readonly #socket: Socket;
  #onData: (chunk: Buffer) => void = () => undefined;
  #onError: (error: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.#onError(error));
    socket.on('close', () => this.#onError(new Error('the extender closed the connection')));
  }

  static async to(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Client(socket);
  }

  close(): void {
    this.#onError = () => undefined;
    this.#socket.destroy();
  }

  /** Bytes of a request that can be sent again and again. */
  static request(path: string, body: string): Buffer {
    const bytes = Buffer.from(body);
    const head = `POST ${path} HTTP/1.1\r\nHost: extender\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), bytes]);
  }

  /** Resolves with the bytes of the answer, head included, when the last one is there. Rejects unless it is a 200. */
  call(request: Buffer): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      const answer = new Answer();
      this.#onError = reject;
      this.#onData = (chunk) => {
        if (!answer.push(chunk)) return;
        if (answer.isGood) resolve(answer.chunks);
        else reject(new Error(`the extender answered ${Buffer.concat(answer.chunks).toString().slice(0, 300)}`));
      };
      this.#socket.write(request);
    });
  }
}

/** An answer as it comes in: with a length, or in chunks, as Go sends what is long. */
class Answer {
  readonly chunks: Buffer[] = [];
  isGood = false;
  #bytes = 0;
  /** Of head and body; null until the head is there; infinite where it comes in chunks. */
  #expected: number | null = null;

  /** Returns true when the answer is complete. */
  push(chunk: Buffer): boolean {
    this.chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#expected === null) this.#readHead();
    if (this.#expected === Infinity) return chunk.subarray(-CHUNKED_END.length).equals(CHUNKED_END);
    return this.#expected !== null && this.#bytes >= this.#expected;
  }

  #readHead(): void {
    const start = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
    const end = start.indexOf(HEAD_END);
    if (end < 0) return;
    const head = start.toString('latin1', 0, end);
    this.isGood = head.startsWith('HTTP/1.1 200 ');
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    this.#expected = length === undefined ? Infinity : end + HEAD_END.length + Number(length);
  }
}
