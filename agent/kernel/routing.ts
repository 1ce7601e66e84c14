// Policy rules and routes over `lo`, read and changed through rtnetlink.

import os from 'node:os'

import type { Family } from '../model/ip.ts'
import type { NetlinkSocket } from './native-types.ts'
import {
  addRoute,
  addRule,
  decodeRoute,
  decodeRule,
  deleteRoute,
  deleteRule,
  dumpRoutes,
  dumpRules,
  type LoopbackRoute,
  type Rule,
} from './netlink/route.ts'
import { kernelError } from './system-error.ts'

export interface Routing {
  rules(family: Family): Rule[]
  /** Only those over `lo`. */
  loopbackRoutes(family: Family): LoopbackRoute[]
  /** True if it was not there. The kernel compares whole rules; a rule that differs in one field is another one. */
  addRule(rule: Rule): boolean
  deleteRule(rule: Rule): boolean
  addRoute(route: LoopbackRoute): boolean
  deleteRoute(route: LoopbackRoute): boolean
}

export function routing(socket: NetlinkSocket): Routing {
  return {
    rules: (family) => dump(socket, dumpRules(family), decodeRule, `read the ${family} routing rules`),
    loopbackRoutes: (family) => dump(socket, dumpRoutes(family), decodeRoute, `read the ${family} routes`),
    addRule: (rule) => change(socket, addRule(rule), EEXIST, `add the routing rule ${rule.priority}`),
    deleteRule: (rule) =>
      change(socket, deleteRule(rule), ENOENT, `delete the routing rule ${rule.priority}`),
    addRoute: (route) => change(socket, addRoute(route), EEXIST, `add ${nameOf(route)}`),
    deleteRoute: (route) => change(socket, deleteRoute(route), ESRCH, `delete ${nameOf(route)}`),
  }
}

const { EEXIST, ENOENT, ESRCH } = os.constants.errno

function dump<T>(
  socket: NetlinkSocket,
  request: Uint8Array,
  decode: (message: Uint8Array) => T | undefined,
  what: string,
): T[] {
  const reply = socket.request(request)
  if (reply.errno !== 0) throw kernelError(what, reply.errno)
  return reply.messages.flatMap((message) => decode(message) ?? [])
}

function change(socket: NetlinkSocket, request: Uint8Array, alreadySo: number, what: string): boolean {
  const { errno } = socket.request(request)
  if (errno === 0) return true
  if (errno === alreadySo) return false
  throw kernelError(what, errno)
}

function nameOf(route: LoopbackRoute): string {
  return `the ${route.family} route ${route.type} ${route.destination ?? 'default'} dev lo table ${route.table}`
}
