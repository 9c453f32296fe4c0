import { App, type Context } from '@iopa/appbuilder'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { http } from '../src/index.ts'

/** An app on a virtual network, and a client of it; everything moves by the clock. */
const onVirtualNetwork = async (handler: (context: Context) => unknown, conditions: object = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...conditions })
  const app = new App({ logger: false, clock }).use(http({ port: 80, network, clock })).use(handler as never)
  const [listener] = await app.listen()
  const client = await clock.runUntil(app.connect(listener?.url as URL, { timeout: 10_000 }))
  return { app, client, clock }
}

describe('over any byte channel', () => {
  test('requests are answered when bytes are cut, joined and delayed', async () => {
    const { app, client, clock } = await onVirtualNetwork(async context => `${context.path} ${(await context.bytes()).length}`, {
      delay: [1, 50],
      splitting: 0.5,
      coalescing: 0.5
    })
    const bodies = Array.from({ length: 8 }, (_, index) => client.put(`/${index}`, new Uint8Array(index * 500)))
    const answers = await clock.runUntil(Promise.all(bodies.map(async sent => (await sent).text())))
    expect(answers).toEqual(Array.from({ length: 8 }, (_, index) => `/${index} ${index * 500}`))
    await clock.runUntil(client.close())
    await clock.runUntil(app.close({ timeout: 1000 }))
    expect(app.live).toBe(0)
  })

  test('observers get changes', async () => {
    let n = 0
    const { app, client, clock } = await onVirtualNetwork(() => ({ n }))
    const seen: unknown[] = []
    const observing = (async () => {
      for await (const answer of client.observe('/n')) {
        seen.push(await answer.json())
        if (++n === 3) return
        app.notify('/n')
      }
    })()
    await clock.runUntil(observing)
    expect(seen).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }])
    await clock.runUntil(app.close({ timeout: 1000 }))
    expect(app.live).toBe(0)
  })

  test('a long answer waits for the window of the peer', async () => {
    const { app, client, clock } = await onVirtualNetwork(() => new Uint8Array(200_000), { window: 10_000 })
    const answer = await clock.runUntil(client.get('/'))
    expect((await clock.runUntil(answer.bytes())).length).toBe(200_000)
    await clock.runUntil(app.close({ timeout: 1000 }))
  })
})
