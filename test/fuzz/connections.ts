import { startServer, type RunningServer } from '../../src/http/server.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { violations } from '../wire/contract.ts';
import type { Fixture } from '../wire/fixtures.ts';
import { makeCallbacks } from '../wire/make-callbacks.ts';
import { mutate, seededRandom } from '../wire/mutate.ts';
import { converse, type Conversation, type RawAnswer } from './exchange.ts';
import { one } from './subject.ts';
import { knownNames, recordedBodies } from './verbs.ts';

export interface ConnectionOptions {
  readonly seed: number;
  /** Conversations with one connection each. */
  readonly rounds: number;
  /** Connections that are open at once, in the crowd. */
  readonly crowd: number;
  /** Longest body that is taken; one that is half as large again is sent. */
  readonly maxBodyBytes: number;
  /** How long a request may take to arrive. */
  readonly requestMs: number;
}

export interface ConnectionReport {
  /** Conversation and the statuses that came -> how often. */
  readonly answers: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
}

/** What the server may say to what is no request, by itself or by Node.js. */
const REFUSALS: ReadonlySet<number> = new Set([400, 404, 405, 408, 411, 413, 414, 417, 431, 501, 505]);

interface Talk extends Conversation {
  /** The requests that are whole: their answers come, in order. */
  readonly asked: readonly { readonly fixture: Fixture; readonly body: string | Buffer }[];
  /** Whether a refusal may come after them, or in their place. */
  readonly isBroken: boolean;
}

/** Real connections to a real server: conversations that are whole, slow, cut, piled up or no HTTP at all. */
export async function fuzzConnections(options: ConnectionOptions): Promise<ConnectionReport> {
  const { seed, rounds, crowd, maxBodyBytes, requestMs } = options;
  const random = seededRandom(seed);
  const { callbacks, cluster } = makeCallbacks({ withPolicy: true });
  const answers = new Map<string, number>();
  const failures: string[] = [];
  const server = await startServer({
    address: '127.0.0.1',
    port: 0,
    tls: null,
    callbacks,
    readiness: () => ({ ready: true, reasons: [] }),
    debugState: () => ({}),
    metrics: new Metrics(),
    // A call that fails is a defect, whatever its caller got to see of it.
    log: createLog('error', { write: (line) => failures.push(`logged: ${line.slice(0, 500)}`) }),
    clock: new VirtualClock({ startMs: Date.now() }),
    maxBodyBytes,
    requestMs,
  });
  const note = (name: string, came: readonly RawAnswer[], found: readonly string[]): void => {
    const statuses = [...new Set(came.map(({ status }) => status))].sort((a, b) => a - b);
    const key = `${name}: ${statuses.join(' and ') || 'closed'}`;
    answers.set(key, (answers.get(key) ?? 0) + 1);
    for (const violation of found) failures.push(`${name}: ${violation}`);
  };
  const judge = ({ asked, isBroken }: Talk, came: readonly RawAnswer[]): string[] => {
    // Node.js refuses what is no HTTP as soon as it sees it, before answers that are under way.
    const isRefusal = ({ status }: RawAnswer): boolean => isBroken && REFUSALS.has(status);
    const missing = isBroken ? 0 : Math.max(0, asked.length - came.length);
    return [
      ...(missing > 0 ? [`${missing} requests were not answered`] : []),
      ...came.flatMap((answer, position) => {
        if (isRefusal(answer)) return [];
        const request = asked[position];
        if (request === undefined) return [`status ${answer.status} that nobody asked for`];
        return violations({ verb: request.fixture.verb, requestBody: request.body, ...answer }, cluster);
      }),
    ];
  };
  try {
    for (let round = 0; round < rounds; round++) {
      const [name, talkOf] = one(Object.entries(TALKS), random);
      const talk = talkOf(random);
      try {
        const came = await converse(server.port, talk, (all) => !talk.isBroken && all.length >= talk.asked.length);
        note(name, came, judge(talk, came));
      } catch (error) {
        note(name, [], [`round ${round}: ${String(error)}`]);
      }
    }
    note('large', ...(await large(server, maxBodyBytes * 1.5)));
    note('stuck', ...(await stuck(server)));
    note('crowd', ...(await crowded(server, crowd)));
    const fixture = one(recordedBodies, random);
    const talk: Talk = { asked: [{ fixture, body: fixture.text }], isBroken: false, pieces: [requestOf(fixture)] };
    const last = await converse(server.port, talk, (all) => all.length > 0);
    note('after all', last, judge(talk, last));
  } finally {
    await server.close();
  }
  return { answers, failures };
}

/** A request as it is sent: its head with a length, and its body. */
function requestOf({ verb, text }: Fixture, body: string | Buffer = text): Buffer {
  const head = `POST /v1/${verb} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

function chunkedRequestOf({ verb }: Fixture, body: Buffer, chunkBytes: number): Buffer[] {
  const pieces = [Buffer.from(`POST /v1/${verb} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`)];
  for (let start = 0; start < body.length; start += chunkBytes) {
    const chunk = body.subarray(start, start + chunkBytes);
    pieces.push(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]));
  }
  return [...pieces, Buffer.from('0\r\n\r\n')];
}

function piecesOf(bytes: Buffer, count: number): Buffer[] {
  const size = Math.max(1, Math.ceil(bytes.length / count));
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function mutantOf(random: () => number): { readonly fixture: Fixture; readonly body: string | Buffer } {
  const fixture = one(recordedBodies, random);
  return { fixture, body: mutate(fixture.text, random, knownNames).body };
}

const preemptBodies = recordedBodies.filter(({ verb }) => verb === 'preempt');

const BAD_LINES = [
  'Content-Length: 5\r\n',
  'Content-Length: -1\r\n',
  'Content-Length: 0x10\r\n',
  'Content-Length: 99999999999999999999\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip\r\n',
  'Transfer-Encoding: chunked, chunked\r\n',
  'Expect: 100-continue\r\n',
  'Expect: wonders\r\n',
  'Upgrade: h2c\r\nConnection: Upgrade\r\n',
  'Connection: close\r\n',
  'Host: y\r\n',
  ' folded: x\r\n',
  'no colon\r\n',
  ': no name\r\n',
  'A\0B: x\r\n',
  'A: \0\r\n',
  `X: ${'x'.repeat(20_000)}\r\n`,
  'A: b\r\n'.repeat(3000),
  'A: b\n',
  '\r\n',
  '\n',
];
const BAD_STARTS = [
  'GET /v1/preempt HTTP/1.1',
  'HEAD /v1/preempt HTTP/1.1',
  'CONNECT x:1 HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'PRI * HTTP/2.0\r\n\r\nSM',
  'POST /v1/preempt',
  'POST /v1/preempt HTTP/9.9',
  'POST  HTTP/1.1',
  'POST http://x/v1/preempt HTTP/1.1',
  'POST //v1/preempt HTTP/1.1',
  'POST /v1/%70reempt HTTP/1.1',
  'POST /v1/%zz HTTP/1.1',
  'POST /v1/\u00e4 HTTP/1.1',
  `POST /${'x'.repeat(20_000)} HTTP/1.1`,
  'WONDER /v1/preempt HTTP/1.1',
  '\0\0\0\0',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '',
];

const TALKS: Readonly<Record<string, (random: () => number) => Talk>> = {
  whole(random) {
    const asked = mutantOf(random);
    return { asked: [asked], isBroken: false, pieces: [requestOf(asked.fixture, asked.body)] };
  },
  chunked(random) {
    const asked = mutantOf(random);
    const chunkBytes = 1 + Math.floor(random() * 5000);
    const pieces = [Buffer.concat(chunkedRequestOf(asked.fixture, Buffer.from(asked.body), chunkBytes))];
    return { asked: [asked], isBroken: false, pieces };
  },
  slow(random) {
    const asked = mutantOf(random);
    const pieces = piecesOf(requestOf(asked.fixture, asked.body), 2 + Math.floor(random() * 20));
    return { asked: [asked], isBroken: false, pieces, pauseMs: 1 };
  },
  'half-closed'(random) {
    const asked = mutantOf(random);
    return { asked: [asked], isBroken: false, pieces: [requestOf(asked.fixture, asked.body)], isEnded: true };
  },
  pipelined(random) {
    const asked = Array.from({ length: 2 + Math.floor(random() * 5) }, () => mutantOf(random));
    return { asked, isBroken: false, pieces: [Buffer.concat(asked.map((a) => requestOf(a.fixture, a.body)))] };
  },
  'ended within a body'(random) {
    const { fixture, body } = mutantOf(random);
    const whole = requestOf(fixture, Buffer.concat([Buffer.from(body), Buffer.from('  ')]));
    return { asked: [], isBroken: true, pieces: [whole.subarray(0, -1)], isEnded: true };
  },
  'cut anywhere'(random) {
    const whole = requestOf(one(recordedBodies, random));
    const pieces = [whole.subarray(0, Math.floor(random() * whole.length))];
    return { asked: [], isBroken: true, pieces, isCut: true };
  },
  'odd head'(random) {
    const fixture = one(preemptBodies, random);
    const start = random() < 0.5 ? one(BAD_STARTS, random) : 'POST /v1/preempt HTTP/1.1';
    const lines = random() < 0.3 ? '' : one(BAD_LINES, random) + (random() < 0.3 ? one(BAD_LINES, random) : '');
    const length = random() < 0.8 ? `Content-Length: ${Buffer.byteLength(fixture.text)}\r\n` : '';
    const pieces = [Buffer.from(`${start}\r\nHost: x\r\n${lines}${length}\r\n${fixture.text}`, 'latin1')];
    return { asked: [{ fixture, body: fixture.text }], isBroken: true, pieces, isEnded: true };
  },
  'odd chunks'(random) {
    const { verb, text } = one(recordedBodies, random);
    const size = one(['zz', '-1', 'ffffffffffffffffff', '5;x=y', '', '5\r', ' 5'], random);
    const head = `POST /v1/${verb} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
    return { asked: [], isBroken: true, pieces: [`${head}${size}\r\n${text}\r\n0\r\n\r\n`], isEnded: true };
  },
  'good before bad'(random) {
    const asked = [mutantOf(random), mutantOf(random)];
    const good = asked.map(({ fixture, body }) => requestOf(fixture, body));
    return { asked, isBroken: true, pieces: [Buffer.concat([...good, Buffer.from('\0\0\r\n\r\n')])], isEnded: true };
  },
};

type Found = readonly [came: readonly RawAnswer[], found: readonly string[]];

/** Too large, by what it says and by what it sends. Whoever is still sending may find the connection reset. */
async function large({ port }: RunningServer, bytes: number): Promise<Found> {
  const fixture = recordedBodies[0] as Fixture;
  const declared = await converse(port, {
    pieces: [`POST /v1/${fixture.verb} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n{`],
  });
  const sent = await converse(port, { pieces: chunkedRequestOf(fixture, Buffer.alloc(bytes, ' '), 65_536) });
  const came = [...declared, ...sent];
  const statuses = came.map(({ status }) => status).join();
  return [came, /^413(,413)?$/.test(statuses) ? [] : [`413 was to come, not ${statuses}`]];
}

/** Requests that never arrive whole. */
async function stuck({ port }: RunningServer): Promise<Found> {
  const begun = ['POST /v1/pre', 'POST /v1/preempt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'];
  const came = (await Promise.all(begun.map((text) => converse(port, { pieces: [text] })))).flat();
  const statuses = came.map(({ status }) => status).join();
  return [came, statuses === '408,408' ? [] : [`408 was to come twice, not ${statuses}`]];
}

/** Many connections that are all within a request while somebody else asks; then all of them are answered, or told that they are too many. */
async function crowded({ port }: RunningServer, size: number): Promise<Found> {
  const fixtures = Array.from({ length: size }, (_, i) => recordedBodies[i % recordedBodies.length] as Fixture);
  const isAnswered = (came: readonly RawAnswer[]): boolean => came.length > 0;
  const crowd = fixtures.map((fixture) =>
    converse(port, { pieces: piecesOf(requestOf(fixture), 2), pauseMs: 200 }, isAnswered),
  );
  const other = await converse(port, { pieces: [requestOf(fixtures[0] as Fixture)] }, isAnswered);
  const came = [...other, ...(await Promise.all(crowd)).flat()];
  const odd = came.filter((answer) => answer.status !== 200 && !isOverload(answer));
  return [
    came,
    came.length === size + 1 && odd.length === 0
      ? []
      : [`of ${size + 1} only ${came.length - odd.length} were answered`],
  ];
}

/** What is more at a time than kube-scheduler ever asks is refused by its head. */
function isOverload({ status, body }: RawAnswer): boolean {
  return status === 503 && (JSON.parse(body) as { readonly code: string }).code === 'Overloaded';
}
