import { describe, expect, it } from 'vitest';
import { namesIn, readNames, readVictims } from './go-body.ts';

const names = (text: string) => {
  const list = readNames(Buffer.from(text), 0);
  return list && { text: list.bytes.toString(), count: list.count };
};
const victims = (text: string) => readVictims(Buffer.from(text), 0)?.nodes ?? null;

describe('readNames', () => {
  it('takes names as they came, with or without a newline at the end', () => {
    expect(names('"n1","n2"]}')).toEqual({ text: '"n1","n2"', count: 2 });
    expect(names('"n1"]}\n')).toEqual({ text: '"n1"', count: 1 });
    expect(names(']}')).toEqual({ text: '', count: 0 });
  });

  it('makes a list of them', () => {
    expect(namesIn({ bytes: Buffer.from('"n1","n2"'), count: 2 })).toEqual(['n1', 'n2']);
    expect(namesIn({ bytes: Buffer.alloc(0), count: 0 })).toEqual([]);
  });

  it.each(['', '}', '"n1"', '"n1"]', '"n1"]} ', '"n1",]}', ',"n1"]}', '"n1" ]}', '""]}', '"a\\"]}', '"ä"]}', 'null]}'])(
    'leaves %j to others',
    (text) => expect(names(text)).toBeNull(),
  );
});

describe('readVictims', () => {
  const n1 = '"n1":{"Pods":[{"UID":"a"},{"UID":"b"}],"NumPDBViolations":2}';
  const n2 = '"n2":{"Pods":[],"NumPDBViolations":0}';

  it('takes nodes, UIDs and counts', () => {
    expect(victims(`${n1},${n2}}}\n`)).toEqual([
      { node: 'n1', uids: ['a', 'b'], numPdbViolations: 2 },
      { node: 'n2', uids: [], numPdbViolations: 0 },
    ]);
    expect(victims('}}')).toEqual([]);
    expect(readVictims(Buffer.from(`${n1},${n2}}}\n`), 0)?.bytes.toString()).toBe(`${n1},${n2}`);
  });

  for (const [what, text] of Object.entries({
    'a list that ends early': `${n1},`,
    'two nodes without a comma': `${n1}${n2}}}`,
    'a comma at the end': `${n1},}}`,
    'nodes out of order, which are no map of Go': `${n2},${n1}}}`,
    'a node twice, of which the last counts': `${n1},${n1}}}`,
    'a null list': '"n1":{"Pods":null,"NumPDBViolations":0}}}',
    'a null node': '"n1":null}}',
    'members in another order': '"n1":{"NumPDBViolations":0,"Pods":[]}}}',
    'a count below zero': '"n1":{"Pods":[],"NumPDBViolations":-1}}}',
    'a count that is no JSON': '"n1":{"Pods":[],"NumPDBViolations":01}}}',
    'a count that no number holds': '"n1":{"Pods":[],"NumPDBViolations":9007199254740993}}}',
    'an empty UID': '"n1":{"Pods":[{"UID":""}],"NumPDBViolations":0}}}',
    'an escape': '"n1":{"Pods":[{"UID":"\\u0061"}],"NumPDBViolations":0}}}',
    'more than a UID': '"n1":{"Pods":[{"UID":"a","x":1}],"NumPDBViolations":0}}}',
    spaces: '"n1": {"Pods":[],"NumPDBViolations":0}}}',
    'a member behind it': `${n1}},"x":1}`,
  }))
    it(`leaves ${what} to others`, () => expect(victims(text)).toBeNull());
});
