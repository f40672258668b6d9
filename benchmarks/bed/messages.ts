import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** A question to a process of the benchmark, and its answer; one at a time. */
interface Envelope {
  readonly id: number;
  readonly name: string;
  readonly value?: unknown;
  readonly error?: string;
}

type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

/** In a process that was started with {@link Peer.start}: answers questions by their name, and ends with its parent. */
export function answer(handlers: Handlers): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    const { id, name, value } = message as Envelope;
    void (async () => {
      try {
        process.send?.({ id, name, value: await handlers[name]?.(value as never) });
      } catch (error) {
        process.send?.({ id, name, error: String((error as Error).stack) });
      }
    })();
  });
}

/** A process of the benchmark, as its parent sees it. `H` are its handlers. */
export class Peer<H extends Handlers> {
  readonly #child: ChildProcess;
  #asked = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start<H extends Handlers>(file: string, execArgv: readonly string[] = []): Peer<H> {
    return new Peer<H>(fork(file, { execArgv: [...execArgv] }));
  }

  ask<N extends keyof H & string>(name: N, value?: Parameters<H[N]>[0]): Promise<Awaited<ReturnType<H[N]>>> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`a process of the benchmark ended with ${code}`));
      const onMessage = (message: unknown): void => {
        const envelope = message as Envelope;
        if (envelope.id !== id) return;
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        if (envelope.error === undefined) resolve(envelope.value as Awaited<ReturnType<H[N]>>);
        else reject(new Error(envelope.error));
      };
      this.#child.on('message', onMessage);
      this.#child.once('exit', onExit);
      this.#child.send({ id, name, value });
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}
