// The table of error codes: what each means and what to do. docs/errors.md is generated from it.

export interface ErrorCodeRow {
  readonly meaning: string
  readonly hint: string
}

export const ERROR_CODES = {
  // command line and configuration
  USAGE: { meaning: 'The command line cannot be understood.', hint: 'run the command with --help' },
  CONFIG_INVALID: {
    meaning: 'The configuration has problems; all are listed.',
    hint: 'correct the listed fields and start again',
  },
  NOT_READY: {
    meaning: 'The agent or the proxy is not running, or not ready yet.',
    hint: 'see `shunt status`; start it with `shunt run`',
  },
  // manifests and decoding
  MANIFEST_UNREADABLE: {
    meaning: 'A file of the manifests folder cannot be read or is too large.',
    hint: 'check the file; the last good version of its objects stays in force',
  },
  MANIFEST_SYNTAX: {
    meaning: 'A document is not valid YAML or JSON.',
    hint: 'correct the syntax at the given line; the last good version stays in force',
  },
  OBJECT_UNKNOWN: {
    meaning: 'A document is of a kind that Shunt does not read.',
    hint: 'remove it from the folder, or check apiVersion and kind',
  },
  OBJECT_INVALID: {
    meaning: 'A field of an object has the wrong type or value.',
    hint: 'correct the field; the last good version of the object stays in force',
  },
  OBJECT_DUPLICATE: {
    meaning: 'Two documents describe the same object.',
    hint: 'keep one of them; the first in file order is used',
  },
  FIELD_UNKNOWN: {
    meaning: 'An object has a field that its kind does not have.',
    hint: 'check the spelling; unknown fields are ignored',
  },
  ROUTE_NOT_APPLIED: {
    meaning: 'A route selects a Service port, but its rules are not applied there by this version.',
    hint: 'connections are steered to the proxy and balanced per connection; rules of TLSRoutes in the namespace of the Service are applied',
  },
  REFERENCE_INVALID: {
    meaning: 'An object names another that does not exist, or that it may not refer to.',
    hint: 'create the named object or the ReferenceGrant, or correct the name; the rest of the object is in force',
  },
  POLICY_CONFLICT: {
    meaning: 'Two TrafficPolicies select the same Service port; only one holds.',
    hint: 'the one that names the port holds, else the older, else the first by name; change or remove the other',
  },
  POLICY_BYPASSED: {
    meaning: 'A policy changes the first bytes of connections, and the kernel, which cannot, may carry them.',
    hint: 'annotate the Service with shunt.dev/when-proxy-down: reject, so that nothing goes around the proxy',
  },
  ROUTE_CONFLICT: {
    meaning:
      'Two routes claim the same host name on one Service port, or are of kinds that exclude each other there.',
    hint: 'the older route holds, else the first by name; change or remove the other',
  },
  // kernel
  PROGRAM_MISSING: { meaning: 'A system program is not installed.', hint: 'install the named package' },
  PROGRAM_FAILED: {
    meaning: 'A system program reported an error.',
    hint: 'the output of the program says why',
  },
  PROGRAM_TIMEOUT: {
    meaning: 'A system program did not finish in time.',
    hint: 'look for a process that holds /run/xtables.lock, or for an overloaded node',
  },
  SYSCTL_FAILED: {
    meaning: 'A kernel setting could not be written.',
    hint: 'run as root in the host network namespace, or set it on the host',
  },
  NATIVE_UNAVAILABLE: {
    meaning: 'The native addon could not be loaded.',
    hint: 'build it with `npm run build`',
  },
  KERNEL_REFUSED: {
    meaning: 'The kernel refused a request.',
    hint: 'run `shunt check` to see which feature or capability is missing',
  },
  DATAPATH_UNUSABLE: {
    meaning: 'The chosen datapath cannot work on this node.',
    hint: 'run `shunt check`; choose another with --datapath',
  },
  RULES_UNKNOWN: {
    meaning: 'A rule has a shape that Shunt does not write and cannot read.',
    hint: 'another program changed our chains; the next full sync repairs them',
  },
  // processes
  ALREADY_RUNNING: {
    meaning: 'Another agent or proxy uses the same run folder.',
    hint: 'stop it, or give this one its own --run-dir',
  },
  HANDOVER_FAILED: {
    meaning:
      'A proxy that was started beside a running one could not take over from it; the running one goes on.',
    hint: 'look at its log; start again, or stop the running one first',
  },
  ADDRESS_IN_USE: {
    meaning: 'A listening address is taken.',
    hint: 'stop the program that holds it, or configure another address',
  },
  NOT_PERMITTED: {
    meaning: 'The process lacks a privilege.',
    hint: 'run as root, or give it the named capability',
  },
  PEER_UNREACHABLE: {
    meaning: 'No process answers on a socket of the run folder.',
    hint: 'see `shunt status`; start it with `shunt run`',
  },
  NOT_FOUND: { meaning: 'The named object does not exist.', hint: 'list what exists with `shunt services`' },
  INTERNAL: { meaning: 'A bug in Shunt.', hint: 'report it with the log around this line' },
} as const satisfies Record<string, ErrorCodeRow>

export type ErrorCode = keyof typeof ERROR_CODES
