// Time passes for requests as it does for the clock, however many of them are cut.

import { App, type Context } from '@iopa/appbuilder'
import type { OwnedContext } from '@iopa/context/host'
import { virtualClock } from '@iopa/testing'
import type { Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const endpoint = {
  scheme: 'test',
  protocol: 'TEST/1.0',
  remoteAddress: '127.0.0.1',
  remotePort: 1,
  localAddress: '127.0.0.1',
  localPort: 2,
  tls: false,
  sessionId: '',
  rawTransport: null,
  bodyLimit: 1024
}
const contextOf = (host: Host, path: string): Context => host.create({ method: 'GET', path, query: '', rawPath: path, endpoint, source: null })

describe('deadlines', () => {
  test('arm one timer at most when an expired request lets another one begin', async () => {
    const clock = virtualClock()
    let armed = 0
    const counting = {
      ...clock,
      now: () => clock.now(),
      setTimeout: (callback: () => void, ms: number) => (armed++, clock.setTimeout(callback, ms)),
      clearTimeout: (handle: unknown) => clock.clearTimeout(handle as never)
    }
    const app = new App({ logger: false, clock: counting, limits: { requestTimeout: 800 } }).use(() => new Promise(() => undefined))
    const host = app.host('test')
    const cut: number[] = []
    const begin = (left: number): void => {
      const began = clock.now()
      const context = contextOf(host, '/')
      host.run(context as OwnedContext, () => {
        cut.push(clock.now() - began)
        void (context as OwnedContext).end()
        if (left > 0) begin(left - 1)
      })
    }
    for (let count = 0; count < 5; count++) begin(8)
    armed = 0
    await clock.advance(800 * 12)
    expect(cut.length).toBe(45)
    // Never early, and at most an eighth late.
    expect([Math.min(...cut) >= 800, Math.max(...cut) <= 900]).toEqual([true, true])
    expect(armed).toBeLessThanOrEqual(12 * 8 + 1)
    await app.close({ timeout: 0 })
  })

  test('leave requests alone that take their time while others are cut, by the clock of the machine', async () => {
    const app = new App({ logger: false, limits: { requestTimeout: 500 } }).use(context =>
      context['iopa.Path'] === '/hang' ? new Promise(() => undefined) : new Promise(resolve => setTimeout(() => resolve('x'), 100))
    )
    const host = app.host('test')
    const statuses: number[] = []
    const run = (path: string, then: () => void): void => {
      const context = contextOf(host, path)
      host.run(context as OwnedContext, () => {
        if (path !== '/hang') statuses.push(context.response.status)
        void (context as OwnedContext).end()
        then()
      })
    }
    const chain = (left: number): Promise<void> =>
      new Promise(resolve => run('/slow', () => (left > 1 ? void chain(left - 1).then(resolve) : resolve())))
    // Each one that is cut lets the next one begin: that armed a second timer.
    let open = true
    const hang = (): void => run('/hang', () => void (open && hang()))
    for (let count = 0; count < 4; count++) hang()
    await Promise.all(Array.from({ length: 3 }, () => chain(20)))
    open = false
    expect(statuses).toEqual(Array.from({ length: 60 }, () => 200))
    await app.close({ timeout: 0 })
  })

  test('stand still while the peer of a request is awaited, begin again in full, and are forgotten with the app', async () => {
    const clock = virtualClock()
    const app = new App({ logger: false, clock, limits: { requestTimeout: 800 } }).use(() => new Promise(() => undefined))
    const host = app.host('test')
    const begin = (awaits: boolean) => {
      const context = contextOf(host, '/') as OwnedContext
      const run = { context, status: 0 }
      host.run(context, () => {
        run.status = context.response.status
        void context.end()
      })
      if (awaits) host.awaitsPeer(context, true)
      return run
    }
    const [waiting, left, plain] = [begin(true), begin(true), begin(false)]
    await clock.advance(5000)
    expect([waiting.status, plain.status]).toEqual([0, 504])
    host.awaitsPeer(waiting.context, false)
    await clock.advance(700)
    expect(waiting.status).toBe(0)
    await clock.advance(300)
    expect([waiting.status, left.status]).toEqual([504, 0])
    await app.close({ timeout: 0 })
    expect(left.status).toBe(503)
  })
})
