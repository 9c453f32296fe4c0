import assert from 'node:assert/strict'
import { App } from '@iopa/appbuilder'
import { type Client, type Clock, type Listener, systemClock } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { soon } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

/** A clock that runs faster than that of the machine. */
const fastClock = (factor: number): Clock => {
  const start = systemClock.now()
  return {
    ...systemClock,
    now: () => start + (systemClock.now() - start) * factor,
    setTimeout: (callback, ms) => systemClock.setTimeout(callback, ms / factor)
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
      name: 'observes on when its server has started again, from the newest state, and asks nothing else meanwhile',
      run: async () => {
        const before = await start('before')
        const clients = new App({ logger: false }).use(subject.transport({}))
        let after: App | undefined
        let client: Client | undefined
        try {
          const url = subject.url(before.listener)
          client = await clients.connect(url, { clock: fastClock(50), timeout: 30_000 })
          const answers = client.observe('/n')[Symbol.asyncIterator]()
          const next = async (): Promise<unknown> => (await soon(answers.next(), 4000)).value?.text()
          assert.equal(await next(), 'before')
          await before.app.close({ timeout: 0 })
          after = (await start('after', Number(new URL(url).port))).app
          assert.equal(await next(), 'after')
          await answers.return?.()
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
