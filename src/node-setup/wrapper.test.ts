import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { wrapperFor } from './wrapper.ts';

const template = readFileSync(new URL('../../deploy/node/reprieve-runc', import.meta.url), 'utf8');

describe('wrapperFor', () => {
  it('sets the lines of a node, and nothing else', () => {
    const text = wrapperFor(template, { runtime: '/opt/runc-1.3+x', run: '/run/other', answerWithin: 5 });
    const [before, after] = [template.split('\n'), text.split('\n')];
    expect(after.filter((line, at) => line !== before[at])).toEqual([
      'runtime=/opt/runc-1.3+x',
      'run=/run/other',
      'answer_within=5 # seconds; the kubelet gives up after 120 (runtimeRequestTimeout)',
    ]);
    expect(after).toHaveLength(before.length);
  });

  it('is the template without settings, and can be set again', () => {
    expect(wrapperFor(template, {})).toBe(template);
    const once = wrapperFor(template, { runtime: '/a' });
    expect(wrapperFor(once, { runtime: '/b' })).toBe(wrapperFor(template, { runtime: '/b' }));
  });

  it.each(['/a b', '/a;id', '$(id)', "/a'", '', '/a\n/b'])('refuses "%s": it would be shell', (runtime) => {
    expect(() => wrapperFor(template, { runtime })).toThrow('the runtime wrapper cannot take runtime=');
  });
});
