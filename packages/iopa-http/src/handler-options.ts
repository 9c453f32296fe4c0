import { bodyBudget, CAPABILITIES, type Counters, checkOptions, countersOf, type Host, type Limits, usersOf } from '@iopa/transport'
import { Heartbeats } from './events/event-stream.ts'
import { HostRules } from './message/authority.ts'
import type { EventOptions } from './options.ts'

/** Options of `toFetchHandler()` and `toNodeHandler()`, whose requests are of the type `R`. */
export interface HandlerOptions<R> extends EventOptions {
  /** Hosts that are served, as for `http()`; every host unless given. */
  readonly hosts?: readonly string[]
  readonly limits?: Partial<Limits>
  /** The address of the client: a web Request does not tell it, and a socket has that of a proxy. Unless given it is empty, or that of the socket. */
  readonly remoteAddress?: (request: R) => string
}

const OPTIONS: Record<keyof HandlerOptions<never>, true> = { retry: true, heartbeat: true, hosts: true, limits: true, remoteAddress: true }

/** What a handler serves its requests with. */
export interface HandlerParts {
  readonly host: Host
  readonly counters: Counters
  readonly rules: HostRules
  readonly heartbeats: Heartbeats
  /** Milliseconds before a browser reconnects. */
  readonly retry: number
}

/** Checks the options of a handler and makes its parts; `name` is that of its listener. @throws IopaError 500 `bad-option` */
export const handlerParts = <R>(
  app: { host(name: string): Host },
  name: 'fetch' | 'node',
  options: HandlerOptions<R>,
  caller: unknown
): HandlerParts => {
  checkOptions(name === 'fetch' ? 'toFetchHandler()' : 'toNodeHandler()', options, OPTIONS, caller)
  const host = app.host(name).withLimits(options.limits)
  usersOf(host)
  const { environment } = host.scope
  environment.capabilities[CAPABILITIES.Http] ??= { version: '5.0.0', schemes: ['http', 'https'], observe: true, redirects: true }
  environment.bodies ??= bodyBudget(host.limits.bodyMemory)
  return {
    host,
    counters: countersOf(host, name),
    rules: new HostRules(options.hosts ?? ['*'], ''),
    heartbeats: new Heartbeats(host.clock, options.heartbeat ?? 15_000),
    retry: options.retry ?? 3_000
  }
}
