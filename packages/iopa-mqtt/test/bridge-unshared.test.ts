import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { connectAsync } from 'mqtt'
import { afterEach, expect, test } from 'vitest'
import type { BridgeOptions } from '../src/bridge.ts'
import { bridge } from '../src/bridge.ts'
import { mqtt } from '../src/mqtt.ts'
import { disk } from '../src/stores/disk.ts'
import { memoryStore } from '../src/stores/memory.ts'
import { describeWith, mosquitto, type Peer, until } from './fixtures/peers.ts'

interface Worker {
  readonly app: App
  readonly lights: Map<string, string>
  readonly errors: string[]
  put(id: string, value: string): Promise<unknown>
}

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const broker = async (lines: readonly string[] = []): Promise<Peer> => {
  const peer = await mosquitto(lines)
  open.push(() => peer.dispose())
  return peer
}

/** Lights, and a list of them that no one can put. */
const worker = async (peer: Peer, options: Partial<BridgeOptions> = {}, order: (ids: string[]) => string[] = ids => ids.sort()): Promise<Worker> => {
  const lights = new Map<string, string>()
  const errors: string[] = []
  const log = (...data: unknown[]): unknown => errors.push(data.join(' '))
  const app = new App({ logger: { error: log, warn: () => undefined, info: () => undefined, debug: () => undefined } })
    .use(router())
    .use(mqtt({ broker: bridge(peer.url, { reconnect: { initial: 20, maximum: 200 }, ...options }) }))
  app.get('/lights', () =>
    order([...lights.keys()])
      .map(id => `${id} ${lights.get(id)}`)
      .join(', ')
  )
  app.get('/lights/:id', ({ params }) => lights.get(params.id))
  app.put('/lights/:id', async context => {
    lights.set(context.params.id, await context.text())
    context.notify('/lights')
  })
  await app.listen()
  open.push(() => app.close({ timeout: 100 }))
  const put = (id: string, value: string): Promise<unknown> => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': `/lights/${id}`, 'iopa.Body': value })
  return { app: app as unknown as App, lights, errors, put }
}

/** What the broker has retained, by topic, as it comes; and how many messages have come. */
const watched = async (peer: Peer): Promise<{ states: Record<string, string>; count(): number }> => {
  const device = await connectAsync(peer.url, { reconnectPeriod: 50 })
  open.push(() => device.endAsync(true))
  const states: Record<string, string> = {}
  let count = 0
  device.on('message', (topic, payload) => {
    states[topic] = String(payload)
    count++
  })
  await device.subscribeAsync('state/#', { qos: 1 })
  return { states, count: () => count }
}

describeWith(['mosquitto'], 'a derived state', () => {
  test('does not stay stale on the broker when several workers change members at the same time', async () => {
    const peer = await broker()
    const { states } = await watched(peer)
    const workers = await Promise.all([worker(peer), worker(peer), worker(peer)])
    for (let round = 0; round < 5; round++) {
      await Promise.all(workers.map((one, index) => one.put(`l${index}`, String(round))))
      const expected = `l0 ${round}, l1 ${round}, l2 ${round}`
      await until(() => states['state/lights'] === expected)
    }
  })

  test('that two workers tell differently is published a bounded number of times', async () => {
    const peer = await broker()
    const { count } = await watched(peer)
    const one = await worker(peer)
    await worker(peer, {}, ids => ids.sort().reverse())
    await one.put('a', '1')
    await one.put('b', '1')
    await new Promise(resolve => setTimeout(resolve, 2500))
    // Two members, the list with each, and what either worker says of it when it compares.
    expect(count()).toBeLessThanOrEqual(8)
  })
})

describeWith(['mosquitto'], 'a worker that is closed while the broker is away', () => {
  test('waits for unsent states within its timeout, and sends them when the broker is back in time', async () => {
    const peer = await broker()
    const one = await worker(peer)
    const { states } = await watched(peer)
    await peer.stop()
    await one.put('hall', 'on')
    const closing = one.app.close({ timeout: 8000 })
    await new Promise(resolve => setTimeout(resolve, 200))
    await peer.start()
    await closing
    await until(() => states['state/lights/hall'] === 'on')
    expect(one.errors).toEqual([])
  })

  test('logs the states that it could not send', async () => {
    const peer = await broker()
    const one = await worker(peer)
    await peer.stop()
    await one.put('hall', 'on')
    const before = Date.now()
    await one.app.close({ timeout: 300 })
    expect(Date.now() - before).toBeGreaterThanOrEqual(290)
    expect(one.errors.join()).toMatch(/2 changed states were not shared .*: (\/lights, \/lights\/hall|\/lights\/hall, \/lights); they are lost/)
  })

  test('keeps it in an outbox on disk, from which the next start takes and shares it', async () => {
    const peer = await broker()
    const folder = await mkdtemp(join(tmpdir(), 'iopa-outbox-'))
    const one = await worker(peer, { outbox: disk(folder) })
    await one.put('attic', 'old')
    const { states } = await watched(peer)
    await until(() => states['state/lights/attic'] === 'old')
    await peer.stop()
    await one.put('hall', 'on')
    await one.put('attic', 'new')
    await one.app.close({ timeout: 50 })
    expect(one.errors.join()).toContain('the outbox keeps them')
    await peer.start()
    const two = await worker(peer, { outbox: disk(folder) })
    await until(() => states['state/lights/hall'] === 'on' && states['state/lights/attic'] === 'new')
    expect(Object.fromEntries(two.lights)).toEqual({ hall: 'on', attic: 'new' })
    await two.app.close()
    // What the broker has is forgotten.
    const left: string[] = []
    const store = disk(folder)
    for await (const record of store.load()) left.push(record.kind)
    await store.close()
    expect(left).toEqual([])
  })

  test('logs damaged records of its outbox, and loads the rest', async () => {
    const peer = await broker()
    const store = memoryStore()
    const one = await worker(peer, { outbox: { ...unclosed(store), damage: () => ['The retained message is damaged.'] } })
    expect(one.errors).toEqual(['iopa: the outbox is damaged: The retained message is damaged.'])
  })

  test('does not claim that an outbox which fails keeps the states, and tries it again at the end', async () => {
    const peer = await broker()
    const store = memoryStore()
    let full = true
    const write: typeof store.write = async batch => {
      if (full) throw new Error('no space left on device')
      return store.write(batch)
    }
    const one = await worker(peer, { outbox: { ...unclosed(store), write } })
    const two = await worker(peer, { outbox: { ...unclosed(memoryStore()), write } })
    await peer.stop()
    for (const { put } of [one, two]) await put('hall', 'on')
    await until(() => [one, two].every(({ errors }) => errors.join().includes('could not keep')))
    await two.app.close({ timeout: 50 })
    expect(two.errors.join()).toMatch(/2 changed states were not shared .*; the outbox could not keep 2 of them/)
    full = false
    await one.app.close({ timeout: 50 })
    expect(one.errors.join()).toMatch(/2 changed states were not shared .*; the outbox keeps them/)
    const kept: string[] = []
    for await (const record of store.load()) if (record.kind === 'retained') kept.push(record.topic)
    expect(kept.sort()).toEqual(['lights', 'lights/hall'])
    await peer.start()
  })

  test('logs failures of its outbox at a bounded rate', async () => {
    const peer = await broker()
    const write = (): Promise<void> => Promise.reject(new Error('no space left on device'))
    const one = await worker(peer, { outbox: { ...unclosed(memoryStore()), write } })
    await peer.stop()
    for (let index = 0; index < 100; index++) await one.put(`l${index}`, 'on')
    await one.app.close({ timeout: 50 })
    expect(one.errors.filter(line => line.includes('could not keep the state'))).toHaveLength(1)
    await peer.start()
  })

  test('loses no acknowledged change when the process is killed', async () => {
    const peer = await broker()
    const store = memoryStore()
    const one = await worker(peer, { outbox: { ...unclosed(store) } })
    await peer.stop()
    await one.put('hall', 'on')
    // What a killed process leaves is what the store has before it closes.
    await until(async () => {
      for await (const record of store.load()) if (record.kind === 'retained' && record.topic === 'lights/hall') return true
      return false
    })
    await peer.start()
  })
})

const unclosed = (store: ReturnType<typeof memoryStore>): ReturnType<typeof memoryStore> => ({
  load: () => store.load(),
  write: batch => store.write(batch),
  close: async () => undefined
})
