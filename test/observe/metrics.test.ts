import test from 'ava'
import { createMetrics } from '#agent/observe/metrics.ts'

function registry(maxSeries?: number) {
  const misuses: string[] = []
  const metrics = createMetrics({
    onMisuse: (message) => misuses.push(message),
    ...(maxSeries === undefined ? {} : { maxSeries }),
  })
  return { metrics, misuses }
}

test('a counter adds up by label and prints with help and type', (t) => {
  const { metrics, misuses } = registry()
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' })
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' }, 2)
  t.is(
    metrics.text(),
    [
      '# HELP shunt_sync_failures_total Syncs that failed; the old rules stayed in force.',
      '# TYPE shunt_sync_failures_total counter',
      'shunt_sync_failures_total{datapath="iptables"} 3',
      '',
    ].join('\n'),
  )
  t.deepEqual(misuses, [])
})

test('a gauge without labels holds the last value', (t) => {
  const { metrics } = registry()
  metrics.set('shunt_plan_generation', 4)
  metrics.set('shunt_plan_generation', 7)
  t.is(metrics.value('shunt_plan_generation'), 7)
  t.regex(metrics.text(), /^shunt_plan_generation 7$/m)
})

test('a histogram is cumulative and ends with +Inf, sum and count', (t) => {
  const { metrics } = registry()
  for (const value of [0.0005, 0.003, 100]) metrics.observe('shunt_plan_build_seconds', value)
  const text = metrics.text()
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="0.001"\} 1$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="0.004"\} 2$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="16.384"\} 2$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="\+Inf"\} 3$/m)
  t.regex(text, /^shunt_plan_build_seconds_sum 100.0035$/m)
  t.regex(text, /^shunt_plan_build_seconds_count 3$/m)
})

test('label values are escaped', (t) => {
  const { metrics } = registry()
  metrics.add('shunt_proxy_connections_total', { service: 'a"b\\c\nd' })
  t.regex(metrics.text(), /service="a\\"b\\\\c\\nd"/)
})

test('wrong uses are reported once and change nothing', (t) => {
  const { metrics, misuses } = registry()
  metrics.add('shunt_plan_generation')
  metrics.add('shunt_plan_generation')
  metrics.set('shunt_steering_active', 1)
  metrics.set('shunt_steering_active', 1, { mechanism: 'dnat', colour: 'red' })
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' }, -1)
  t.deepEqual(misuses, [
    'metric shunt_plan_generation is a gauge, used as a counter',
    'metric shunt_steering_active wants labels [mechanism], got []',
    'metric shunt_steering_active wants labels [mechanism], got [mechanism, colour]',
    'counter shunt_sync_failures_total cannot go down',
  ])
  t.notRegex(metrics.text(), /steering_active|generation/)
})

test('series beyond the limit are gathered under `other`', (t) => {
  const { metrics } = registry(2)
  for (const service of ['a', 'b', 'c', 'd', 'a']) metrics.add('shunt_proxy_connections_total', { service })
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'a' }), 2)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'c' }), undefined)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'other' }), 2)
})

test('a series that was looked up once counts as one that is looked up each time', (t) => {
  const { metrics, misuses } = registry()
  const failures = metrics.counter('shunt_sync_failures_total', { datapath: 'iptables' })
  failures()
  failures(2)
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' })
  t.is(metrics.value('shunt_sync_failures_total', { datapath: 'iptables' }), 4)
  const build = metrics.histogram('shunt_plan_build_seconds')
  build(0.5)
  t.regex(metrics.text(), /^shunt_plan_build_seconds_count 1$/m)
  t.deepEqual(misuses, [])
  failures(-1)
  metrics.counter('shunt_plan_build_seconds')()
  metrics.histogram('shunt_sync_failures_total', { datapath: 'iptables' })(1)
  t.is(metrics.value('shunt_sync_failures_total', { datapath: 'iptables' }), 4)
  t.is(misuses.length, 3)
})
