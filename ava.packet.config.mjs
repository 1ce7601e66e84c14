// Tests on the real kernel, in network namespaces of their own: root, one file at a time (they share the two cores).
export default {
  files: ['test/packet/**/*.test.ts', 'test/native/**/*.test.ts', 'test/fault/**/*.test.ts'],
  extensions: ['ts'],
  workerThreads: false,
  serial: true,
  concurrency: 1,
  timeout: '10m',
}
