// Random: in proportion to the weights and independent of history, as kube-proxy balances (row 46).

import type { Balancer } from './balancer.ts'
import { drawCandidates } from './draw.ts'

export const random: Balancer = ({ pool, draw }, wanted) => drawCandidates(pool, wanted, draw)
