import { homedir } from 'node:os';
import { join } from 'node:path';

/** What is made once for every run lies here, outside the checkout. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'reprieve');
}
