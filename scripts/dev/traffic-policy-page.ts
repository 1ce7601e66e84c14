// docs/traffic-policy.md: what a TrafficPolicy is, with a table for each group of fields.

import { expected } from '#agent/cluster/decode/read-shape.ts'
import type { MapShape, Shape } from '#agent/cluster/decode/shape.ts'
import { TRAFFIC_POLICY_SPEC } from '#agent/cluster/decode/traffic-policy-fields.ts'
import { formatDuration } from '#agent/model/duration.ts'

type Table = (head: readonly string[], rows: readonly (readonly string[])[]) => string

export function trafficPolicyParts(table: Table): readonly string[] {
  const groups = Object.entries<Shape>(TRAFFIC_POLICY_SPEC.fields)
  return [
    '# TrafficPolicy',
    WHAT,
    '```yaml\n' + EXAMPLE + '```',
    WHICH,
    WHEN_DOWN,
    '## Fields',
    DURATIONS,
    ...groups.flatMap(([name, shape]) => [
      `### spec.${name}`,
      shape.meaning,
      table(['Field', 'Value', 'Default', 'Meaning'], rowsOf(shape.type === 'maps' ? shape.of : shape, [])),
    ]),
    '## More examples',
    ...EXAMPLES.flatMap(([title, text]) => [title, '```yaml\n' + text + '```']),
  ]
}

const WHAT =
  'How the proxy of a node treats the connections to a Service: `apiVersion: shunt.dev/v1alpha1`, `kind: TrafficPolicy`, ' +
  'in the namespace of its Services. A Service port that a policy selects is steered to the proxy; without a policy, and ' +
  'for everything that a policy leaves out, the defaults below hold. Its fields about HTTP come with a later version.'

const EXAMPLE = `apiVersion: shunt.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: web
spec:
  targetRefs:
    - kind: Service
      name: web
  loadBalancer:
    type: LeastConnections
    slowStart: { window: 30s }
  connect: { attemptTimeout: 500ms, deadline: 3s }
  outlierDetection: { consecutiveFailures: 3 }
  limits: { maxConnections: 2000 }
`

const WHICH = `## Which policy holds

* A policy that names a port (\`sectionName\`) holds there, also beside an older one for the whole Service. It takes its
  place as a whole; policies are not merged.
* Of two that name the same thing the older one holds (\`metadata.creationTimestamp\`), then the first by name. The other one
  is a warning (\`POLICY_CONFLICT\`), as is a policy for a Service or a port that does not exist (\`REFERENCE_INVALID\`). Such a
  warning goes away with its cause.
* Only TCP ports of Services with a ClusterIP have connections that the proxy can treat.
* The annotation \`shunt.dev/steer: never\` on a Service, and \`--steer never\` of the agent, keep it with the kernel whatever a
  policy says.
* A field that is wrong or unknown makes the object as a whole be refused; its last good version stays in force, and
  \`shunt validate\` says what is wrong, with file, line and field.

\`shunt services\` says which policy holds for a port, \`shunt plan\` what it changes and what endpoints weigh, and
\`shunt trace\` both for one connection.`

const WHEN_DOWN = `## While the proxy is down

The kernel then balances alone, at random: it knows no weights, limits, ejections or timeouts. A Service that must not be
reached without them says so with the annotation \`shunt.dev/when-proxy-down: reject\`. With \`proxyProtocol\` it nearly always
must, because its endpoints would take the first bytes for a header; a warning (\`POLICY_BYPASSED\`) reminds of it.

Limits count per node, over all workers of its proxy. The proxy of each node learns by itself which endpoints are slow or
refuse connections.`

const DURATIONS =
  'A duration is one to four groups of up to five digits and a unit (`h`, `m`, `s`, `ms`), such as `10s`, `1m30s` or `500ms`, ' +
  'as everywhere in the Gateway API.'

const EXAMPLES: readonly (readonly [title: string, text: string])[] = [
  [
    'One port of a Service, most connections to the endpoints of this zone, none to a node that is to be emptied:',
    `apiVersion: shunt.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: near
spec:
  targetRefs:
    - { kind: Service, name: web, sectionName: http }
  loadBalancer:
    weights:
      - { node: worker-3, weight: 0 }
      - { zone: eu-1a, weight: 10 }
`,
  ],
  [
    'A database: few connections for each client, long silence, and the client’s address in front of each connection:',
    `apiVersion: shunt.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: database
spec:
  targetRefs:
    - { kind: Service, name: database, sectionName: "5432" }
  timeouts: { idle: 168h, lifetime: 0s }
  limits: { maxConnections: 400, maxConnectionsPerClient: 50 }
  proxyProtocol: { toEndpoints: V2 }
`,
  ],
  [
    'Behind a load balancer that sends PROXY headers; clients stay on their endpoint by their true address:',
    `apiVersion: shunt.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: ingress
spec:
  targetRefs:
    - { kind: Service, name: ingress }
  loadBalancer: { type: Maglev }
  proxyProtocol: { acceptFrom: [192.0.2.0/24] }
`,
  ],
]

/** A row for each value, under its path below the group. */
function rowsOf(shape: Shape, path: readonly string[]): (readonly string[])[] {
  if (shape.type === 'map') return fieldRows(shape, path)
  if (shape.type === 'maps')
    return [row(path, shape), ...fieldRows(shape.of, [...path.slice(0, -1), `${path.at(-1) ?? ''}[]`])]
  return [row(path, shape)]
}

function fieldRows(shape: MapShape, path: readonly string[]): (readonly string[])[] {
  // A group inside a group says something of its own; the whole group said it above its table.
  const own = path.length === 0 || path.at(-1)?.endsWith('[]') === true ? [] : [row(path, shape)]
  return [...own, ...Object.entries(shape.fields).flatMap(([name, field]) => rowsOf(field, [...path, name]))]
}

function row(path: readonly string[], shape: Shape): readonly string[] {
  const required = shape.required === true ? 'required' : ''
  return [`\`${path.join('.')}\``, valueOf(shape), defaultText(shape) ?? required, shape.meaning]
}

function valueOf(shape: Shape): string {
  if (shape.type === 'map') return 'map'
  if (shape.type === 'word') return shape.words.map((word) => `\`${word === '' ? '""' : word}\``).join(', ')
  if (shape.type === 'cidrs') return `address ranges, at most ${shape.maxItems}`
  if (shape.type === 'maps') return `list, at most ${shape.maxItems}`
  return expected(shape).replace(/^an? /, '')
}

function defaultText(shape: Shape): string | undefined {
  if (!('default' in shape) || shape.default === undefined) return undefined
  if (shape.type === 'duration') return `\`${formatDuration(shape.default)}\``
  return `\`${shape.default === '' ? '""' : shape.default}\``
}
