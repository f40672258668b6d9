import { readFile } from 'node:fs/promises';

/** `USER_HZ`, which Linux has on all machines. */
const TICKS_PER_SECOND = 100;

/** Milliseconds of processor time that a process has taken since its start, in all of its threads. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name, in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}
