// The table of flows on both variants of iptables, without the proxy and with every Service steered to it.

import test from 'ava'

import { SETTINGS } from '../conformance/flows.ts'
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

for (const variant of ['nft', 'legacy'] as const) {
  for (const setting of SETTINGS) {
    for (const steered of setting.alsoSteered ? [false, true] : [false]) {
      test.serial(`iptables-${variant}, ${setting.name}${steered ? ', steered' : ''}`, async (t) => {
        t.timeout(180_000)
        const flags = ['--iptables-variant', variant]
        const stage = await setStage(lab, { datapath: 'iptables', flags, setting, steered })
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
  }
}
