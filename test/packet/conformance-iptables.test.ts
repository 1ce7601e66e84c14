// The table of flows on both variants of iptables, without the proxy and with every Service steered to it.

import test from 'ava'

import { SETTINGS, type Setting } from '../conformance/flows.ts'
import { failureReport } from '../conformance/report.ts'
import { runFlows } from '../conformance/run.ts'
import { listenEverywhere, setStage } from '../conformance/stage.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await listenEverywhere(lab)
})

test.after.always(async () => {
  await lab?.close()
})

interface Run {
  readonly variant: 'nft' | 'legacy'
  readonly setting: Setting
  /** undefined: nothing is steered. */
  readonly mechanism: 'sk_lookup' | 'dnat' | undefined
}

const RUNS: readonly Run[] = [
  ...(['nft', 'legacy'] as const).flatMap((variant) =>
    SETTINGS.flatMap((setting): readonly Run[] => [
      { variant, setting, mechanism: undefined },
      ...(setting.alsoSteered ? [{ variant, setting, mechanism: 'sk_lookup' as const }] : []),
    ]),
  ),
  // The rules of DNAT are the same text for both variants.
  ...SETTINGS.filter((setting) => setting.alsoSteered).map((setting): Run => ({
    variant: 'nft',
    setting,
    mechanism: 'dnat',
  })),
]

for (const { variant, setting, mechanism } of RUNS) {
  const steering = mechanism === undefined ? '' : `, steered by ${mechanism}`
  test.serial(`iptables-${variant}, ${setting.name}${steering}`, async (t) => {
    t.timeout(180_000)
    const flags = [
      '--iptables-variant',
      variant,
      ...(mechanism === undefined ? [] : ['--steering-mechanism', mechanism]),
    ]
    const stage = await setStage(lab, {
      datapath: 'iptables',
      flags,
      setting,
      steered: mechanism !== undefined,
    })
    try {
      const outcomes = await runFlows(stage)
      t.log(`${outcomes.length} flows`)
      if (outcomes.some((outcome) => outcome.wrong !== undefined))
        t.fail(await failureReport(stage, outcomes))
      else t.pass()
    } finally {
      await stage.clear()
    }
  })
}
