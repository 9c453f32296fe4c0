import { driveCoap } from './coap-driver.ts'
import { type Driver, MODES } from './driver.ts'
import { driveHttp } from './http-driver.ts'
import { Ledger, pick, randomFrom } from './ledger.ts'
import { driveMqtt } from './mqtt-driver.ts'
import { serve } from './served-app.ts'
import { driveTcp } from './tcp-driver.ts'
import { driveUdp } from './udp-driver.ts'

const DRIVERS = { http: driveHttp, coap: driveCoap, mqtt: driveMqtt, tcp: driveTcp, udp: driveUdp } as const satisfies Record<string, Driver>
type Protocol = keyof typeof DRIVERS

/** Connections of all protocols that are open at once. */
const AT_ONCE = 100

/** Milliseconds after which a connection is taken to hang: many times the deadline of a request. */
const PATIENCE = 40_000

const within = async (limit: number, done: Promise<void>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => {
    timer = setTimeout(() => resolve(false), limit)
  })
  const inTime = await Promise.race([done.then(() => true), late])
  clearTimeout(timer)
  return inTime
}

/** What a run found. */
export interface Findings {
  readonly totals: Ledger['totals']
  /** Answers that were wrong, came twice, or held something of another request. */
  readonly faults: readonly string[]
  readonly missing: readonly string[]
  readonly leaks: readonly string[]
  /** Contexts that had not ended when everything was closed. */
  readonly live: number
  /** Warnings of the process, and errors that reached it. */
  readonly warnings: readonly string[]
}

/** Sends random requests over five protocols at once, over connections that are read, read slowly, left or reset. */
export const runIsolation = async (requests: number, seed: number): Promise<Findings> => {
  const random = randomFrom(seed)
  const ledger = new Ledger()
  const warnings: string[] = []
  const warn = (warning: unknown): void => void warnings.push(String(warning))
  process.on('warning', warn).on('unhandledRejection', warn).on('uncaughtException', warn)
  const { app, ports, leaks } = await serve()
  const work = async (): Promise<void> => {
    while (ledger.size < requests) {
      const protocol = pick(random, Object.keys(DRIVERS) as Protocol[])
      const count = 1 + Math.floor(random() * 20)
      const mode = pick(random, MODES)
      const done = DRIVERS[protocol]({ port: ports[protocol], ledger, random, count, mode })
      if (!(await within(PATIENCE, done))) ledger.faults.push(`${protocol}: a connection (${mode}) waits for answers that do not come`)
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    await app.close({ timeout: 2000 })
  } finally {
    process.off('warning', warn).off('unhandledRejection', warn).off('uncaughtException', warn)
  }
  return { totals: ledger.totals, faults: ledger.faults, missing: ledger.missing, leaks, live: app.live, warnings }
}
