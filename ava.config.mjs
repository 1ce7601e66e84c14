// Unit, property and golden tests: no root, no kernel state, seconds. The levels that need the kernel have their
// own files beside this one; scripts/dev/test.ts runs them all.
export default {
  files: ['test/**/*.test.ts', '!test/packet/**', '!test/native/**', '!test/fault/**'],
  extensions: ['ts'],
  timeout: '2m',
}
