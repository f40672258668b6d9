import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeBed } from '../../test/node/bed/bed.ts';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** The agent of a node as the kernel sees it. */
export class AgentUsage {
  readonly #path: (file: string) => string;

  private constructor(path: (file: string) => string) {
    this.#path = path;
  }

  static async of(bed: NodeBed, name: string): Promise<AgentUsage> {
    const node = bed.node(name);
    const pid = (await node.run('pgrep', '-o', '-f', 'src/main.ts agent')).trim();
    return new AgentUsage((file) => node.path(`/proc/${pid}/${file}`));
  }

  /** MiB: now, and the most so far. */
  async memory(): Promise<{ readonly now: number; readonly peak: number }> {
    const status = await readFile(this.#path('status'), 'utf8');
    const mebibytes = (key: string): number =>
      Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
    return { now: mebibytes('VmRSS'), peak: mebibytes('VmHWM') };
  }

  /** Percent of one core over some seconds, with the programs that it ran meanwhile. */
  async cpu(seconds: number): Promise<number> {
    const before = await this.#cpuSeconds();
    const startMs = performance.now();
    await sleep(seconds * 1000);
    return ((await this.#cpuSeconds()) - before) / ((performance.now() - startMs) / 100_000);
  }

  async #cpuSeconds(): Promise<number> {
    const stat = await readFile(this.#path('stat'), 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = fields.slice(11, 15).reduce((sum, part) => sum + part, 0); // utime, stime, cutime, cstime
    return ticks / TICKS_PER_SECOND;
  }
}
