import { ApiServer } from '../../src/sim/api-server/api-server.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { describeApiConformance } from './api-conformance.ts';

const NO_SCHEMAS = 'CRD schemas are checked by the real server; the embedded one has a hook for them';

describeApiConformance({
  name: 'embedded API server',
  start() {
    const clock = new VirtualClock();
    const server = new ApiServer({ clock });
    return Promise.resolve({
      transport: server,
      stop() {},
      compact: () => server.compact(),
      passTime: (ms) => clock.advance(ms),
    });
  },
  skip: {
    'the spec of a PodCheckpoint is immutable': NO_SCHEMAS,
    'the release of a PodCheckpoint is final': NO_SCHEMAS,
    'a displacement has exactly one cause': NO_SCHEMAS,
    'a custom resource is held to its schema': NO_SCHEMAS,
  },
});
