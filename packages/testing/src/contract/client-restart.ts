import assert from 'node:assert/strict'
import { App } from '@iopa/appbuilder'
import { type Client, type Clock, type Listener, systemClock, type TimerHandle } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { eventually, soon } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

/** A clock that runs faster than that of the machine, and counts the timers that keep the process alive. */
const fastClock = (factor: number): Clock & { readonly keeping: number } => {
  const start = systemClock.now()
  const begun = systemClock.elapsed()
  const keeping = new Set<TimerHandle>()
  return {
    get keeping() {
      return keeping.size
    },
    now: () => start + (systemClock.now() - start) * factor,
    elapsed: () => begun + (systemClock.elapsed() - begun) * factor,
    setTimeout: (callback, ms, options) => {
      const run = (): void => {
        keeping.delete(handle)
        callback()
      }
      const handle = systemClock.setTimeout(run, ms / factor, options)
      if (options?.keep === true) keeping.add(handle)
      return handle
    },
    clearTimeout: handle => {
      keeping.delete(handle)
      systemClock.clearTimeout(handle)
    }
  }
}

/** Observations while the server starts again. */
export const clientRestartCases = (subject: TransportSubject): ContractCase[] => {
  const { observe = true, exclusive = true } = subject.features ?? {}
  if (!observe || !exclusive) return []
  const start = async (state: string, port?: number): Promise<{ readonly app: App; readonly listener: Listener }> => {
    const app = new App({ logger: false })
      .use(subject.transport(port === undefined ? {} : { port }))
      .use((context, next) => (context['iopa.Method'] === 'CONNECT' ? next() : state))
    const [listener] = (await app.listen()) as [Listener]
    return { app, listener }
  }
  return [
    {
      name: 'observes on when its server has started again, from the newest state, and keeps the process alive while it waits for that',
      run: async () => {
        const before = await start('before')
        const clients = new App({ logger: false }).use(subject.transport({}))
        let after: App | undefined
        let client: Client | undefined
        try {
          const url = subject.url(before.listener)
          const clock = fastClock(50)
          client = await clients.connect(url, { clock, timeout: 30_000 })
          const answers = client.observe('/n')[Symbol.asyncIterator]()
          const next = async (): Promise<unknown> => (await soon(answers.next(), 4000)).value?.text()
          assert.equal(await next(), 'before')
          await before.app.close({ timeout: 0 })
          // Only the observer is left: without its timer the process would exit.
          const waiting = next()
          await eventually('a timer keeps the process alive', () => clock.keeping > 0)
          after = (await start('after', Number(new URL(url).port))).app
          assert.equal(await waiting, 'after')
          await answers.return?.()
          await client.close()
          await eventually('no timer of the client keeps the process alive', () => clock.keeping === 0)
        } finally {
          await client?.close()
          await clients.close({ timeout: 0 })
          await before.app.close({ timeout: 0 })
          await after?.close({ timeout: 0 })
        }
      }
    }
  ]
}
