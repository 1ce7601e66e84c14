// The CustomResourceDefinition and the decoder are the same law: one table of documents through both, and every field of
// one is in the other.

import test from 'ava'
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Shape } from '#agent/cluster/decode/shape.ts'
import { TRAFFIC_POLICY_SPEC } from '#agent/cluster/decode/traffic-policy-fields.ts'
import { decodeTrafficPolicy } from '#agent/cluster/decode/traffic-policy.ts'
import { equal } from '#agent/model/equal.ts'
import { SPECS, WHOLE_SPEC } from '../fixtures/traffic-policy/specs.ts'
import { runCel } from '../support/cel.ts'
import { structuralFaults, validate, withDefaults, type Schema } from '../support/structural-schema.ts'

const ROOT = join(import.meta.dirname, '..', '..')

interface Crd {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string; readonly plural: string }
    readonly scope: string
    readonly versions: readonly [
      {
        readonly name: string
        readonly subresources: object
        readonly additionalPrinterColumns: readonly { readonly jsonPath: string }[]
        readonly schema: { readonly openAPIV3Schema: Schema }
      },
    ]
  }
}

const CRD = parse(readFileSync(join(ROOT, 'daemonset/crds/trafficpolicies.shunt.dev.yaml'), 'utf8')) as Crd
const [VERSION] = CRD.spec.versions
const SCHEMA = VERSION.schema.openAPIV3Schema

function object(spec: unknown): object {
  return { apiVersion: 'shunt.dev/v1alpha1', kind: 'TrafficPolicy', metadata: { name: 'p' }, spec }
}

/** What an API server says of an object of this spec. */
function faultsOf(spec: unknown): string[] {
  return validate(withDefaults(object(spec), SCHEMA), SCHEMA)
}

test('the kind is the one that the decoder reads', (t) => {
  t.is(CRD.metadata.name, `${CRD.spec.names.plural}.${CRD.spec.group}`)
  t.is(`${CRD.spec.group}/${VERSION.name} ${CRD.spec.names.kind}`, 'shunt.dev/v1alpha1 TrafficPolicy')
  t.is(CRD.spec.scope, 'Namespaced')
  t.deepEqual(VERSION.subresources, { status: {} })
})

test('the schema is structural, bounded, and its defaults are valid', (t) => {
  t.deepEqual(structuralFaults(SCHEMA), [])
})

for (const { it, spec, says = [], schemaTakesIt } of SPECS)
  test(`the schema and the decoder agree about: ${it}`, (t) => {
    const faults = faultsOf(spec)
    t.is(faults.length > 0, says.length > 0 && schemaTakesIt !== true, faults.join('\n'))
  })

test('what the API server stores with its defaults means the same as what was written', (t) => {
  for (const { spec, says } of SPECS) {
    if (says !== undefined) continue
    const stored = withDefaults(object(spec), SCHEMA)
    t.deepEqual(decodeTrafficPolicy(stored), decodeTrafficPolicy(object(spec)))
  }
})

test('every field of the decoder is in the schema, and every field of the schema in the decoder', (t) => {
  const inSchema = (schema: Schema, path: string): string[] => [
    path,
    ...Object.entries(schema.properties ?? {}).flatMap(([name, each]) => inSchema(each, `${path}.${name}`)),
    ...(schema.items?.properties === undefined ? [] : inSchema(schema.items, `${path}[]`)),
  ]
  const inDecoder = (shape: Shape, path: string): string[] => [
    path,
    ...(shape.type === 'map'
      ? Object.entries(shape.fields).flatMap(([name, each]) => inDecoder(each, `${path}.${name}`))
      : []),
    ...(shape.type === 'maps' ? inDecoder(shape.of, `${path}[]`) : []),
  ]
  const spec = SCHEMA.properties?.['spec']
  if (spec === undefined) return t.fail('the schema has no spec')
  const known = inDecoder(TRAFFIC_POLICY_SPEC, 'spec')
  t.true(known.length > 40)
  t.deepEqual(inSchema(spec, 'spec').sort(), known.sort())
})

test('columns of kubectl get show fields that there are', (t) => {
  for (const { jsonPath } of VERSION.additionalPrinterColumns) {
    if (jsonPath.startsWith('.metadata')) continue
    const end = jsonPath
      .split(/[.[]/)
      .filter((step) => step !== '')
      .reduce<Schema | undefined>(
        (schema, step) => (step === '0]' ? schema?.items : schema?.properties?.[step]),
        SCHEMA,
      )
    t.truthy(end, jsonPath)
  }
})

test('a good spec with any of its parts replaced: what the decoder takes the schema takes', (t) => {
  const odd = fc.constantFrom<unknown>(
    -1,
    0,
    0.05,
    1,
    1.5,
    1e9,
    '',
    '0s',
    '1s',
    '999h',
    '1d',
    'web',
    'V2',
    '10.0.0.0/8',
    true,
    [],
    {},
    null,
  )
  let good = 0
  fc.assert(
    fc.property(fc.array(fc.nat(7), { minLength: 1, maxLength: 4 }), odd, (choices, by) => {
      const spec = replaced(WHOLE_SPEC, choices, by)
      const taken = decodeTrafficPolicy(object(spec)).value !== undefined
      if (taken) good++
      // null is absent to the API and to the decoder; a range is a pattern to the one and an address to the other.
      if (taken && by !== null) t.deepEqual(faultsOf(spec), [])
      if (!taken && by !== null && !equal(by, '10.0.0.0/8'))
        t.not(faultsOf(spec).length, 0, JSON.stringify(spec))
    }),
    { numRuns: 2_000 },
  )
  t.true(good > 100)
})

/** The value with one part, chosen by the numbers, replaced. */
function replaced(value: unknown, [choice, ...rest]: readonly number[], by: unknown): unknown {
  if (choice === undefined || typeof value !== 'object' || value === null) return by
  const entries = Object.entries(value)
  const [name, part] = entries[choice % Math.max(entries.length, 1)] ?? []
  if (name === undefined) return by
  const next = replaced(part, rest, by)
  if (Array.isArray(value)) return value.map((item: unknown, i) => (String(i) === name ? next : item))
  return { ...value, [name]: next }
}

const CEL: readonly (readonly [rule: string, self: unknown, result: unknown])[] = [
  ["duration(self) >= duration('10ms') && duration(self) <= duration('5m')", '10ms', true],
  ["duration(self) >= duration('10ms') && duration(self) <= duration('5m')", '6m', false],
  ['!has(self.a) || !has(self.b) || self.a <= self.b', { a: 2 }, true],
  ['!has(self.a) || !has(self.b) || self.a <= self.b', { a: 2, b: 1 }, false],
  ['[has(self.a), has(self.b)].exists_one(x, x)', { a: 1, b: 1 }, false],
  ["self.all(a, self.exists_one(b, (has(a.n) ? a.n : '') == (has(b.n) ? b.n : '')))", [{}, { n: 'x' }], true],
  ["self.all(a, self.exists_one(b, (has(a.n) ? a.n : '') == (has(b.n) ? b.n : '')))", [{}, {}], false],
]
for (const [rule, self, result] of CEL)
  test(`the rule ${rule} of ${JSON.stringify(self)} is ${String(result)}`, (t) => {
    t.is(runCel(rule, self), result)
  })

test('a rule that is not understood is refused', (t) => {
  for (const rule of ['self.size() > 1', 'self +', 'self.a', "self == 'a' 'b'", 'self & self'])
    t.throws(() => runCel(rule, {}), undefined, rule)
})
