// Clients that begin to read a large file in blocks and are never heard of again: what is kept for them ends by itself.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { serveStatic } from '@iopa/static'
import { virtualClock } from '@iopa/testing'
import type { Listener } from '@iopa/transport'
import { expect, test } from 'vitest'
import { until } from '../hostile-support.ts'
import { block2, descriptorsBelow, makeTree, optionOf, RawCoap } from './support.ts'

const BLOCK2 = 23
const OBSERVE = 6
const MINUTE = 60_000

test('closes the files of 1,000 clients that begin a block transfer and vanish', async () => {
  const tree = makeTree({ 'big.bin': Buffer.alloc(3 * 1024 * 1024, 7) })
  const clock = virtualClock()
  const app = new App({ logger: false }).use(serveStatic(tree.root)).use(coap({ port: 0, clock }))
  const [listener] = (await app.listen()) as [Listener]
  const { live } = app
  const port = Number(listener.url.port)
  let most = 0
  let left = 1000
  const begin = async (): Promise<void> => {
    while (left-- > 0) {
      const client = new RawCoap(port)
      const first = await client.get(['big.bin'], [[BLOCK2, block2(0, 6)]])
      const second = await client.get(['big.bin'], [[BLOCK2, block2(1, 6)]])
      expect([first.code, second.code, second.payload.length]).toEqual(['2.05', '2.05', 1024])
      client.close()
      if (left % 100 === 0) most = Math.max(most, descriptorsBelow(tree.base))
    }
  }
  await Promise.all(Array.from({ length: 20 }, begin))
  // Each of them has a file open for the block that would come next, within the bound of what is kept.
  expect(most).toBeGreaterThan(20)
  expect(most).toBeLessThanOrEqual(1024)
  await clock.advance(10 * MINUTE)
  await until(
    'no descriptor is open and no context lives',
    () => descriptorsBelow(tree.base) === 0 && app.live <= live,
    () => app.live - live
  )
  const client = new RawCoap(port)
  expect((await client.get(['a.txt'])).payload.toString()).toBe('0123456789')
  client.close()
  await app.close()
  expect(app.live).toBe(0)
  tree.remove()
}, 30_000)

test('ends the observations of clients that vanish, and stops watching their file', async () => {
  const tree = makeTree()
  // On a clock of its own, no observation ends before all have begun.
  const clock = virtualClock()
  const app = new App({ logger: false })
    .use(serveStatic(tree.root, { watchInterval: 20 }))
    .use(coap({ port: 0, clock, transmission: { ackTimeout: 20, maxRetransmit: 1 } }))
  const [listener] = (await app.listen()) as [Listener]
  const { live } = app
  for (let count = 0; count < 50; count++) {
    const client = new RawCoap(Number(listener.url.port))
    const answer = await client.request('0.01', [
      [OBSERVE, ''],
      [11, 'a.txt']
    ])
    expect(optionOf(answer, 'Observe')).toBeDefined()
    client.close()
  }
  expect(app.live).toBeGreaterThanOrEqual(live + 50)
  // A notification that must be acknowledged, which the client does not do.
  const telling = setInterval(() => {
    app.notify('/a.txt')
    void clock.advance(50)
  }, 5)
  await until(
    'they are given up',
    () => app.live <= live,
    () => app.live - live
  )
  clearInterval(telling)
  await app.close()
  tree.remove()
}, 30_000)
