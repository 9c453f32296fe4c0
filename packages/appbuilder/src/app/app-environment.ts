import { type Capabilities, type Codec, CodecTable, type Logger } from '@iopa/constants'
import { type Environment, isContext, type RunContext, report } from '@iopa/context/host'
import type { Clock, Limits, Transport } from '@iopa/transport'
import { FailureLog, withinTime } from '@iopa/transport/host'
import type { AppHandle } from './app-types.ts'

/** What the contexts of one app share. `changed` is called with each path that a context notifies. */
export const environmentOf = (
  { limits, clock, logger }: { readonly limits: Limits; readonly clock: Clock; readonly logger: Logger },
  capabilities: Capabilities,
  codecs: Iterable<Codec> | undefined,
  changed: (path: string, origin: RunContext | null) => void
): Environment => ({
  live: 0,
  lastId: 0,
  changes: null,
  capabilities,
  logger,
  codecs: new CodecTable(codecs),
  bodyLimit: limits.body,
  failures: new FailureLog(clock, logger, limits.failureLogs),
  clock,
  now: () => clock.now(),
  notify: (path, origin) => changed(path, isContext(origin) ? (origin as RunContext) : null),
  bounded: (work, hurry) => bounded(work, hurry, limits.drainTimeout, clock, logger)
})

const CLUSTERED =
  'iopa: an observer in a worker of a cluster: it does not hear of changes that other workers make. Serve observers from one process, or join an MQTT broker.'

/** Adds what a transport of the app brings: its capability, codecs and routes, and its count of bodies in memory, of at most `bodyMemory` bytes. */
export const addTransport = (environment: Environment, app: AppHandle, transport: Transport, bodyMemory: number): void => {
  if (transport.clustered) environment.observed = () => environment.logger.warn(CLUSTERED)
  environment.bodies ??= transport.bodies?.(bodyMemory)
  for (const [urn, capability] of Object.entries(transport.capabilities ?? {})) app.capabilities[urn] = { schemes: transport.schemes, ...capability }
  for (const codec of transport.codecs ?? []) environment.codecs.addMissing(codec)
  transport.attach?.(app)
}

/** Waits for what a scope owns, but not longer than the drain timeout. */
const bounded = async (work: Promise<void>, hurry: () => void, limit: number, clock: Clock, logger: Logger): Promise<void> => {
  if (await withinTime(clock, limit, work)) return
  report(logger, 'iopa: a disposer has not settled in time, and is left behind')
  hurry()
}
