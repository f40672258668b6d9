/** Process: an extender on node:http that decides nothing, the least that one in JavaScript can cost. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

type Args = { readonly NodeNames?: readonly string[]; readonly NodeNameToMetaVictims?: object };

const ANSWERS: Readonly<Record<string, (args: Args) => unknown>> = {
  '/v1/filter': ({ NodeNames }) => ({ NodeNames, FailedNodes: {}, FailedAndUnresolvableNodes: {}, Error: '' }),
  '/v1/prioritize': ({ NodeNames = [] }) => NodeNames.map((Host) => ({ Host, Score: 0 })),
  '/v1/preempt': ({ NodeNameToMetaVictims }) => ({ NodeNameToMetaVictims }),
};

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const args = JSON.parse(Buffer.concat(chunks).toString()) as Args;
    const body = Buffer.from(JSON.stringify(ANSWERS[request.url ?? '']?.(args)));
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Content-Length', body.length);
    response.end(body);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
