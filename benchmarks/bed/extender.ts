import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A process that prints the port on which it answers the verbs. */
export interface NullExtender {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startNullExtender(command: string, args: readonly string[] = []): Promise<NullExtender> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    port: Number(line.toString()),
    pid: child.pid as number,
    stop: async () => {
      child.kill();
      await once(child, 'exit');
    },
  };
}
