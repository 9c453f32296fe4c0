import { App } from '@iopa/appbuilder'
import { connectAsync } from 'mqtt'
import { afterEach, expect, test } from 'vitest'
import { mqtt } from '../../../src/mqtt.ts'
import { until } from '../../fixtures/peers.ts'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const KIB = 1024

test.each([4, 5] as const)(
  'a client of MQTT %s waits while the bodies of the app have no room, and none of its messages is refused',
  async version => {
    let go = (): void => undefined
    const gate = new Promise<void>(resolve => {
      go = resolve
    })
    let begun = 0
    let done = 0
    const app = new App({ logger: false, limits: { bodyMemory: 500 * KIB } }).use(mqtt({ port: 0 })).use(async context => {
      if (context.method !== 'PUT') return
      begun++
      await context.bytes()
      await gate
      done++
      return null
    })
    closing.push(() => app.close({ timeout: 100 }))
    const [listener] = await app.listen()
    const client = await connectAsync(String(listener!.url), { protocolVersion: version, reconnectPeriod: 0 })
    closing.push(() => client.endAsync(true))
    const sent = Promise.all(Array.from({ length: 30 }, (_, n) => client.publishAsync(`up/${n}`, Buffer.alloc(100 * KIB), { qos: 1 })))
    await until(() => begun > 0)
    const before = begun
    await new Promise(resolve => setTimeout(resolve, 100))
    // What was in the read that filled the budget, and no more.
    expect(begun).toBeLessThan(12)
    expect(before).toBeGreaterThan(0)
    go()
    await sent
    expect(done).toBe(30)
  }
)
