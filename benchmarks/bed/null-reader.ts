/** Process: reads the watch of all pods and parses each line, and does nothing else. The least that following a cluster can cost. */
import { answer } from './messages.ts';

const NEWLINE = 0x0a;

const handlers = {
  /** Milliseconds until so many lines were read and parsed. */
  read: async ({ apiServer, lines }: { readonly apiServer: number; readonly lines: number }): Promise<number> => {
    const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const startMs = performance.now();
    const { body } = await fetch(`http://127.0.0.1:${apiServer}/api/v1/pods?${query}`);
    let read = 0;
    let rest = Buffer.alloc(0);
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      const bytes = Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        JSON.parse(bytes.toString('utf8', start, end));
        start = end + 1;
        if (++read === lines) return performance.now() - startMs;
      }
      rest = bytes.subarray(start);
    }
    throw new Error('the watch ended too early');
  },
};
export type NullReaderHandlers = typeof handlers;
answer(handlers);
