// Every field of a TrafficPolicy: docs/traffic-policy.md, the schema of its CustomResourceDefinition and its decoder are
// made from this table. `metadata` and `status` are the API's.

import { POLICY_BOUNDS as BOUNDS, POLICY_LIMITS as LIMITS } from '../../model/connection-policy-bounds.ts'
import {
  DEFAULT_CONNECTION_POLICY as DEFAULTS,
  DEFAULT_OUTLIER_POLICY as OUTLIER,
} from '../../model/connection-policy.ts'
import { LABEL_RULE } from './names.ts'
import type { MapShape, TextShape } from './shape.ts'

const LABEL = {
  type: 'text',
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  rule: LABEL_RULE,
  maxLength: 63,
} as const satisfies Omit<TextShape, 'meaning'>

/** Label values and node names: what a zone and a node may be called. */
const PLACE = {
  type: 'text',
  pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$',
  rule: 'a name of at most 253 characters A-Z, a-z, 0-9, "-", "_" and ".", beginning and ending with a letter or digit',
  maxLength: 253,
} as const satisfies Omit<TextShape, 'meaning'>

const TARGET_REF = {
  type: 'map',
  meaning: 'A Service of the same namespace.',
  fields: {
    group: { type: 'word', words: [''], default: '', meaning: 'Group of the target: the core group.' },
    kind: { type: 'word', words: ['Service'], default: 'Service', meaning: 'Kind of the target.' },
    name: { ...LABEL, required: true, meaning: 'Name of the Service.' },
    sectionName: {
      ...LABEL,
      meaning: 'Name of one of its ports, or the number of one as text. Without it: every port.',
    },
  },
} as const satisfies MapShape

const LOAD_BALANCER = {
  type: 'map',
  meaning: 'How an endpoint is chosen.',
  fields: {
    type: {
      type: 'word',
      words: ['Random', 'RoundRobin', 'LeastConnections', 'PeakEWMA', 'Maglev'],
      default: DEFAULTS.balancer.kind,
      meaning:
        'LeastConnections and PeakEWMA (latency of connecting, times open connections) compare two random endpoints; ' +
        'Maglev keeps a client address on its endpoint as far as changes of the endpoints allow.',
    },
    slowStart: {
      type: 'map',
      meaning:
        'The weight of a new endpoint grows from a part of its weight to all of it. For Random, RoundRobin and ' +
        'LeastConnections.',
      fields: {
        window: {
          type: 'duration',
          ...BOUNDS.slowStart.windowMs,
          default: DEFAULTS.balancer.slowStart.windowMs,
          meaning: 'How long it grows; 0s: not at all.',
        },
        minWeightPercent: {
          type: 'integer',
          ...BOUNDS.slowStart.minWeightPercent,
          default: DEFAULTS.balancer.slowStart.minWeightPercent,
          meaning: 'The part that it begins with.',
        },
        aggression: {
          type: 'number',
          ...BOUNDS.slowStart.aggression,
          default: DEFAULTS.balancer.slowStart.aggression,
          meaning: '1: steadily; more: faster at first; less: slower at first.',
        },
      },
    },
    decay: {
      type: 'duration',
      ...BOUNDS.decayMs,
      default: DEFAULTS.balancer.decayMs,
      meaning: 'For PeakEWMA: the time after which an old latency counts 1/e.',
    },
    weights: {
      type: 'maps',
      maxItems: LIMITS.weights,
      meaning:
        'Weights of endpoints relative to each other. The first entry that matches holds; 1 without a match.',
      of: {
        type: 'map',
        meaning: 'Endpoints of one place, and their weight.',
        oneOf: ['zone', 'node', 'addresses'],
        fields: {
          zone: { ...PLACE, meaning: 'Endpoints of this zone.' },
          node: { ...PLACE, meaning: 'Endpoints of this node.' },
          addresses: {
            type: 'cidrs',
            maxItems: LIMITS.cidrs,
            meaning: 'Endpoints in these ranges.',
          },
          weight: {
            type: 'integer',
            required: true,
            ...BOUNDS.weight,
            meaning: '0: only if there is no other endpoint.',
          },
        },
      },
    },
  },
} as const satisfies MapShape

const CONNECT = {
  type: 'map',
  meaning: 'Connecting to an endpoint, and to the next one if that fails.',
  fields: {
    attemptTimeout: {
      type: 'duration',
      ...BOUNDS.connect.attemptTimeoutMs,
      default: DEFAULTS.connect.attemptTimeoutMs,
      meaning: 'One attempt, within the deadline; the last possible one gets all the time that is left.',
    },
    deadline: {
      type: 'duration',
      ...BOUNDS.connect.deadlineMs,
      default: DEFAULTS.connect.deadlineMs,
      meaning: 'All attempts and waits together; then the client is reset.',
    },
    backoff: {
      type: 'map',
      meaning:
        'Waiting after every endpoint has failed: a random time up to base, 2 × base, 4 × base and so on, at most max.',
      notAbove: [['base', 'max']],
      fields: {
        base: {
          type: 'duration',
          ...BOUNDS.backoff.baseMs,
          default: DEFAULTS.connect.backoff.baseMs,
          meaning: 'The first wait at most.',
        },
        max: {
          type: 'duration',
          ...BOUNDS.backoff.maxMs,
          default: DEFAULTS.connect.backoff.maxMs,
          meaning: 'Every wait at most.',
        },
      },
    },
  },
} as const satisfies MapShape

const RETRY_BUDGET = {
  type: 'map',
  meaning:
    'How many attempts the Service may cause after the first candidates of a connection (six at most) have failed, so that retries do not bury what is left of it.',
  fields: {
    percent: {
      type: 'integer',
      ...BOUNDS.retryBudget.percent,
      default: DEFAULTS.connect.retryBudget.percent,
      meaning: 'Of the connections of the last ten seconds.',
    },
    minRetryRate: {
      type: 'map',
      meaning: 'So many are always allowed.',
      fields: {
        count: {
          type: 'integer',
          ...BOUNDS.retryBudget.minPerSecond,
          default: DEFAULTS.connect.retryBudget.minPerSecond,
          meaning: 'Attempts in an interval.',
        },
        interval: {
          type: 'duration',
          min: 1_000,
          max: 3_600_000,
          default: 1_000,
          meaning: 'The interval.',
        },
      },
    },
  },
} as const satisfies MapShape

const TIMEOUTS = {
  type: 'map',
  meaning: 'What ends a connection whose peers are alive.',
  fields: {
    idle: {
      type: 'duration',
      ...BOUNDS.timeouts.idleMs,
      default: DEFAULTS.timeouts.idleMs,
      meaning: 'No byte either way.',
    },
    halfClosed: {
      type: 'duration',
      ...BOUNDS.timeouts.halfClosedMs,
      default: DEFAULTS.timeouts.halfClosedMs,
      meaning: 'No byte either way after one side closed.',
    },
    silent: {
      type: 'duration',
      ...BOUNDS.timeouts.silentMs,
      default: DEFAULTS.timeouts.silentMs,
      meaning: 'Not one byte since the start.',
    },
    lifetime: {
      type: 'duration',
      ...BOUNDS.timeouts.lifetimeMs,
      default: DEFAULTS.timeouts.lifetimeMs,
      meaning: 'However busy; 0s: for ever.',
    },
  },
} as const satisfies MapShape

const OUTLIER_DETECTION = {
  type: 'map',
  meaning:
    'Endpoints that refuse connections are left out for a while. Without it none is; `{}` takes the defaults.',
  notAbove: [['baseEjectionTime', 'maxEjectionTime']],
  fields: {
    consecutiveFailures: {
      type: 'integer',
      ...BOUNDS.outlier.consecutiveFailures,
      default: OUTLIER.consecutiveFailures,
      meaning: 'So many failures to connect in a row eject an endpoint.',
    },
    baseEjectionTime: {
      type: 'duration',
      ...BOUNDS.outlier.baseEjectionMs,
      default: OUTLIER.baseEjectionMs,
      meaning: 'For how long, times the number of ejections in a row.',
    },
    maxEjectionTime: {
      type: 'duration',
      ...BOUNDS.outlier.maxEjectionMs,
      default: OUTLIER.maxEjectionMs,
      meaning: 'One ejection at most.',
    },
    maxEjectionPercent: {
      type: 'integer',
      ...BOUNDS.outlier.maxEjectionPercent,
      default: OUTLIER.maxEjectionPercent,
      meaning: 'At most this part of the endpoints is ejected at a time, but one always may be.',
    },
    panicThresholdPercent: {
      type: 'integer',
      ...BOUNDS.outlier.panicPercent,
      default: OUTLIER.panicPercent,
      meaning: 'With fewer usable endpoints than this, ejections are ignored.',
    },
  },
} as const satisfies MapShape

const LIMITS_SHAPE = {
  type: 'map',
  meaning: 'Open connections of the Service port through the proxy of one node.',
  notAbove: [['maxConnectionsPerClient', 'maxConnections']],
  fields: {
    maxConnections: { type: 'integer', ...BOUNDS.limits.maxConnections, meaning: 'Without it: no limit.' },
    maxConnectionsPerClient: {
      type: 'integer',
      ...BOUNDS.limits.maxConnectionsPerClient,
      meaning: 'Of one client address. Without it: no limit of its own.',
    },
    fair: {
      type: 'flag',
      default: DEFAULTS.limits.fair,
      meaning:
        'With maxConnections: a client may always have its equal share, and more only while a fifth of the room is free.',
    },
  },
} as const satisfies MapShape

const PROXY_PROTOCOL = {
  type: 'map',
  meaning: 'The PROXY protocol, which tells the client’s address in front of a connection.',
  fields: {
    toEndpoints: {
      type: 'word',
      words: ['None', 'V2'],
      default: 'None',
      meaning: 'What endpoints hear first.',
    },
    acceptFrom: {
      type: 'cidrs',
      maxItems: LIMITS.cidrs,
      meaning:
        'Sources that must send a header of version 2, which is believed. Without it: nobody’s is read.',
    },
  },
} as const satisfies MapShape

export const TRAFFIC_POLICY_SPEC = {
  type: 'map',
  required: true,
  meaning: 'What is wanted; every part may be left out but the targets.',
  fields: {
    targetRefs: {
      type: 'maps',
      required: true,
      of: TARGET_REF,
      minItems: 1,
      maxItems: LIMITS.targetRefs,
      unique: ['name', 'sectionName'],
      meaning: 'The Services whose connections are treated so.',
    },
    loadBalancer: LOAD_BALANCER,
    connect: CONNECT,
    retryBudget: RETRY_BUDGET,
    timeouts: TIMEOUTS,
    outlierDetection: OUTLIER_DETECTION,
    limits: LIMITS_SHAPE,
    proxyProtocol: PROXY_PROTOCOL,
  },
} as const satisfies MapShape
