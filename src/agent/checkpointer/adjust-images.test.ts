import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adjustImages } from './adjust-images.ts';
import { messageOf, messagesIn, numberOf, setNumber, textOf } from './criu-image.ts';
import { makeImage, type ImageField } from './make-image.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'images-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Of every socket; null: not known. */
let present: string | null = null;
const presentPath = (): Promise<string | null> => Promise.resolve(present);

/** The numbers in field `of` of each message, after the change. */
async function adjusted(of: number, ...messages: readonly (readonly ImageField[])[]): Promise<number[][]> {
  const path = join(folder, 'files.img');
  await writeFile(path, makeImage(...messages));
  await adjustImages({ folder, ownsIpc: true, presentPath });
  const image = await readFile(path);
  return [...messagesIn(image)].map((fields) => (messageOf(image, fields, of) ?? []).map(({ value }) => value));
}

/** `id, flags, clock, ticks, value (s, ns), interval (s, ns)` as CRIU writes a timerfd. */
const timer = (value: [number, number], interval: [number, number]): ImageField[] => [
  [1, 17],
  [2, 16],
  [
    12,
    [
      [1, 16],
      [2, 2],
      [4, 1],
      [5, 1],
      [6, 0],
      [7, value[0]],
      [8, value[1]],
      [9, interval[0]],
      [10, interval[1]],
    ],
  ],
];

describe('a timer', () => {
  it('that is periodic and ran out while its process stood frozen ticks again at once', async () => {
    const image = await adjusted(12, timer([0, 0], [0, 100_000_000]));
    expect(image).toEqual([[16, 2, 1, 1, 0, 0, 1, 0, 100_000_000]]);
  });

  it.each([
    ['has time left', [0, 5], [1, 0]],
    ['is off', [0, 0], [0, 0]],
    ['ticks once', [3, 0], [0, 0]],
  ] satisfies [string, [number, number], [number, number]][])('that %s stays as it is', async (_, value, interval) => {
    expect(await adjusted(12, timer(value, interval))).toEqual([[16, 2, 1, 1, 0, ...value, ...interval]]);
  });
});

describe('a socket', () => {
  const ADDRESS = 0x0200004d; // 77.0.0.2, as CRIU writes it
  /** `id, inode, family, type, protocol, state, ports, flags, backlog, addresses`. */
  const socket = (type: number, state: number): ImageField[] => [
    [1, 4],
    [2, 9],
    [
      4,
      [
        [1, 9],
        [2, 5000],
        [3, 2],
        [4, type],
        [5, 17],
        [6, state],
        [7, 40_000],
        [8, 8125],
        [9, 2],
        [10, 0],
        [11, ADDRESS],
        [12, 16_777_343],
      ],
    ],
  ];
  const sourceOf = async (type: number, state: number): Promise<number | undefined> =>
    (await adjusted(4, socket(type, state)))[0]?.[10];

  it('of datagrams that is connected loses the address of the pod', async () => {
    expect(await sourceOf(2, 1)).toBe(0);
  });

  it('that is bound only, or of TCP, keeps it', async () => {
    expect([await sourceOf(2, 7), await sourceOf(1, 1)]).toEqual([ADDRESS, ADDRESS]);
  });
});

describe('a unix socket', () => {
  /** `id, inode, type, state, flags, uflags, backlog, peer, name`. */
  const socket = (state: number, name: string): ImageField[] => [
    [1, 5],
    [2, 9],
    [
      16,
      [
        [1, 9],
        [2, 5000],
        [3, 1],
        [4, state],
        [11, `${name}\0`],
        [15, 1],
      ],
    ],
  ];
  const nameOf = async (state: number, name: string, now: string | null): Promise<string> => {
    present = now;
    await adjusted(16, socket(state, name));
    const image = await readFile(join(folder, 'files.img'));
    const [message] = messagesIn(image);
    return textOf(image, messageOf(image, message ?? [], 16) ?? [], 11);
  };

  it('that listens is bound to the name that it has now', async () => {
    expect(await nameOf(10, '/tmp/s.new', '/tmp/s')).toBe('/tmp/s\0\0\0\0\0');
    const image = await readFile(join(folder, 'files.img'));
    const [message] = messagesIn(image);
    expect(numberOf(messageOf(image, message ?? [], 16) ?? [], 15)).toBe(0);
  });

  it.each([
    ['kept its name', 10, '/tmp/s.new', '/tmp/s.new'],
    ['is not to be found', 10, '/tmp/s.new', null],
    ['has a longer name now', 10, '/tmp/s', '/tmp/s.new'],
    ['does not listen', 1, '/tmp/s.new', '/tmp/s'],
    ['is abstract', 10, '\0abstract', '/tmp/s'],
  ])('that %s stays as it is', async (_, state, name, now) => {
    expect(await nameOf(state, name, now)).toBe(`${name}\0`);
  });
});

describe('the System V objects of a pod', () => {
  it('come back with one container only', async () => {
    const image = makeImage([[1, 4096]]);
    for (const name of ['ipcns-shm-11.img', 'ipcns-var-11.img']) await writeFile(join(folder, name), image);
    await adjustImages({ folder, ownsIpc: true, presentPath });
    expect(await readFile(join(folder, 'ipcns-shm-11.img'))).toEqual(image);
    await adjustImages({ folder, ownsIpc: false, presentPath });
    expect(await readFile(join(folder, 'ipcns-shm-11.img'))).toEqual(image.subarray(0, 8));
    expect(await readFile(join(folder, 'ipcns-var-11.img'))).toEqual(image);
  });
});

it('writes no number that needs more bytes than there are', () => {
  expect(() => setNumber(Buffer.alloc(2), { number: 1, start: 0, end: 1, value: 0 }, 128)).toThrow(RangeError);
});
