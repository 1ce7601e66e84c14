// Decides whether two endpoints get equal shares, within so many points, with hardly any false alarm: at 1,000
// connections a fair coin is more than 4 points off once in 85 runs, so a first sample that is off is not judged but
// enlarged to one in which 4 points are eight standard deviations.

import type { Seen } from '../../test/support/lab/peer-messages.ts'

const FIRST = 1000
const MORE = 10_000
const POINTS = 4

export interface Shares {
  readonly fair: boolean
  readonly text: string
}

/** @param isHit what is counted: its share should be 50 % */
export async function halfOf(
  connect: (count: number) => Promise<readonly Seen[]>,
  isHit: (seen: Seen) => boolean,
): Promise<Shares> {
  const first = shareOf(await connect(FIRST), isHit)
  const firstText = `${percent(first)} of ${FIRST}`
  if (Math.abs(first - 0.5) <= POINTS / 100) return { fair: true, text: firstText }
  const more = shareOf(await connect(MORE), isHit)
  return {
    fair: Math.abs(more - 0.5) <= POINTS / 100,
    text: `${firstText}, ${percent(more)} of ${MORE} more`,
  }
}

function shareOf(seen: readonly Seen[], isHit: (seen: Seen) => boolean): number {
  return seen.filter(isHit).length / Math.max(seen.length, 1)
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
