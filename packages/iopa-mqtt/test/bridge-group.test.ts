import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReceivedAnswer } from '@iopa/appbuilder'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { HouseOptions } from './fixtures/house.ts'
import { type House, house } from './fixtures/house.ts'
import { describeWith, mosquitto, nats, type Peer, until } from './fixtures/peers.ts'
import { compiled } from './fixtures/program.ts'

let broker: Peer
let device: MqttClient
let heard: { topic: string; payload: string }[]
let prefix = ''
let tests = 0
const houses: House[] = []

const open = async (options: Partial<HouseOptions> = {}): Promise<House> => {
  const opened = await house({ broker: broker.url, statePrefix: prefix, reconnect: { initial: 20, maximum: 200 }, ...options })
  houses.push(opened)
  return opened
}

const three = (options: Partial<HouseOptions> = {}): Promise<House[]> => Promise.all([open(options), open(options), open(options)])

/** The values of a light on all instances. */
const values = (light: string): Promise<string[]> => Promise.all(houses.map(({ get }) => get(light)))

/** Waits until all instances agree about the lights, and nothing moves any more. */
const settled = async (lights: readonly string[], of: readonly House[] = houses): Promise<void> => {
  let last = ''
  let since = Date.now()
  await until(async () => {
    const now = JSON.stringify([heard.length, ...(await Promise.all(of.flatMap(({ get }) => lights.map(get))))])
    if (now !== last) {
      last = now
      since = Date.now()
    }
    return Date.now() - since > 150
  }, 10_000)
}

const setUp = (start: () => Promise<Peer>, protocolVersion: 4 | 5): void => {
  beforeAll(async () => {
    broker = await start()
  })
  afterAll(() => broker?.dispose())
  beforeEach(async () => {
    prefix = `state-${++tests}`
    device = await connectAsync(broker.url, { protocolVersion, reconnectPeriod: 20 })
    heard = []
    device.on('message', (topic, payload) => heard.push({ topic, payload: payload.toString() }))
    await device.subscribeAsync(`${prefix}/#`, { qos: 1 })
  })
  afterEach(async () => {
    for (const opened of houses.splice(0)) {
      await opened.close(300)
      expect(opened.app.live, 'live contexts').toBe(0)
    }
    await device.endAsync(true)
  })
}

/** Changes the same lights on all instances at the same time, and checks what must hold whatever the order. */
const concurrentPuts = async (options: Partial<HouseOptions>): Promise<void> => {
  const workers = await three(options)
  const lights = ['hall', 'kitchen', 'porch']
  let changes = 0
  await Promise.all(
    workers.map(async (worker, number) => {
      for (let round = 0; round < 12; round++) {
        for (const light of lights) {
          expect(await worker.put(light, `${number}-${round}`)).toBe(204)
          changes++
        }
        if (round % 4 === number) await new Promise(resolve => setTimeout(resolve, 3))
      }
    })
  )
  await settled(lights)
  for (const light of lights) {
    const found = await values(light)
    expect(new Set(found).size, `${light}: ${found.join(' ')}`).toBe(1)
    expect(found[0]).toBe(heard.filter(({ topic }) => topic === `${prefix}/lights/${light}`).at(-1)?.payload)
  }
  expect(heard.length).toBeLessThanOrEqual(changes)
  expect(heard.length).toBeGreaterThanOrEqual(lights.length)
}

describeWith(['mosquitto'], 'workers on one mosquitto', () => {
  setUp(() => mosquitto(), 5)

  test.each<[string, Partial<HouseOptions>]>([
    ['in a group, with MQTT 5', { share: 'house' }],
    ['in a group, with MQTT 3.1.1', { share: 'house', protocolVersion: 4 }],
    ['each for itself', {}]
  ])('agree after concurrent PUTs on all of them, with at most one state message per change (%s)', (_, options) => concurrentPuts(options))

  test('agree when they speak different versions', async () => {
    const workers = [await open({ protocolVersion: 4 }), await open({ protocolVersion: 5 }), await open({ protocolVersion: 4 })]
    await Promise.all(workers.map((worker, number) => worker.put('hall', String(number))))
    await settled(['hall'])
    expect(new Set(await values('hall')).size).toBe(1)
    expect(heard.length).toBeLessThanOrEqual(3)
  })

  test('share the commands of a group, so that each is handled by one', async () => {
    const workers = await three({ share: 'house' })
    await Promise.all(Array.from({ length: 90 }, (_, n) => device.publishAsync(`lights/${n}`, 'on', { qos: 1 })))
    await until(() => workers.reduce((sum, { seen }) => sum + seen.filter(({ replica }) => !replica).length, 0) === 90)
    await settled([])
    const counts = workers.map(({ seen }) => seen.filter(({ replica }) => !replica).length)
    expect(counts.reduce((sum, count) => sum + count)).toBe(90)
    expect(Math.min(...counts)).toBeGreaterThan(15)
    expect(heard).toHaveLength(90)
    for (const { lights } of workers) expect(lights.size).toBe(90)
  })

  test('deliver a change to the observers of all workers', async () => {
    const [one, two] = (await three({ share: 'house' })) as [House, House]
    await one.put('hall', 'off')
    await until(() => two.lights.get('hall') === 'off')
    const ending = new AbortController()
    const seen: string[] = []
    const observing = (async () => {
      for await (const answer of two.app.observe('/lights/hall', { signal: ending.signal }) as AsyncIterable<ReceivedAnswer>)
        seen.push(await answer.text())
    })()
    await until(() => seen.length === 1)
    await one.put('hall', 'on')
    await until(() => seen.at(-1) === 'on')
    await device.publishAsync('lights/hall', 'dim', { qos: 1 })
    await until(() => seen.at(-1) === 'dim')
    ending.abort()
    await observing.catch(() => {})
    expect(seen).toEqual(['off', 'on', 'dim'])
  })

  test('hand a state that cannot be put to their observers as it is', async () => {
    const [one, two] = (await three()) as [House, House]
    const ending = new AbortController()
    const seen: string[] = []
    const observing = (async () => {
      for await (const answer of two.app.observe('/mode', { signal: ending.signal }) as AsyncIterable<ReceivedAnswer>) seen.push(await answer.text())
    })()
    await until(() => seen.length === 1)
    one.mode = 'night'
    one.app.notify('/mode')
    await until(() => seen.length === 2)
    await settled([])
    ending.abort()
    await observing.catch(() => {})
    expect(seen).toEqual(['day', 'night'])
    expect(heard.map(({ payload }) => payload)).toEqual(['night'])
  })

  test('tell the observers of a list, which each makes itself, the whole of it in the end', async () => {
    const workers = await three()
    for (const worker of workers) worker.after = context => context.notify('/lights')
    const ending = new AbortController()
    const last: string[] = []
    const observing = workers.map(async ({ app }, index) => {
      for await (const answer of app.observe('/lights', { signal: ending.signal }) as AsyncIterable<ReceivedAnswer>) last[index] = await answer.text()
    })
    for (let round = 0; round < 10; round++) {
      await Promise.all(workers.map((worker, number) => worker.put(`light-${number}`, `${round}`)))
      if (round % 3 === 0) await new Promise(resolve => setTimeout(resolve, 2))
    }
    await settled(['light-0', 'light-1', 'light-2'])
    ending.abort()
    await Promise.allSettled(observing)
    const whole = JSON.stringify({ 'light-0': '9', 'light-1': '9', 'light-2': '9' })
    expect(last).toEqual([whole, whole, whole])
  })

  test('publish a deletion as an empty state, and delete by it', async () => {
    const [one, two, three_] = (await three()) as [House, House, House]
    await one.put('hall', 'on')
    await until(() => two.lights.has('hall') && three_.lights.has('hall'))
    expect((await one.app.invoke({ 'iopa.Method': 'DELETE', 'iopa.Path': '/lights/hall' })).status).toBe(204)
    await until(() => !two.lights.has('hall') && !three_.lights.has('hall'))
    await settled(['hall'])
    expect(heard.map(({ payload }) => payload)).toEqual(['on', ''])
  })

  test('are quiet when nothing changes, also after the broker has come back', async () => {
    const workers = await three({ clientId: undefined as never })
    await Promise.all(workers.map((worker, number) => worker.put(`light-${number}`, 'on')))
    await settled([])
    const before = heard.length
    expect(before).toBe(3)
    heard.length = 0
    await broker.stop()
    await workers[0]!.put('light-1', 'changed offline')
    await broker.start()
    await until(() => workers.every(({ bridge, lights }) => bridge && lights.get('light-1') === 'changed offline'), 10_000)
    await device.subscribeAsync({ [`${prefix}/#`]: { qos: 1 } }).catch(() => {})
    await settled(['light-0', 'light-1', 'light-2'])
    const live = heard.filter(({ topic }) => topic === `${prefix}/lights/light-1`)
    expect(live.length).toBeLessThanOrEqual(2)
    for (const light of ['light-0', 'light-1', 'light-2']) expect(new Set(await values(light)).size).toBe(1)
  })

  test('never lose a change of one client to the echo of an earlier one', async () => {
    const [one, two] = (await three()) as [House, House]
    for (let n = 0; n < 150; n++) {
      await one.put('hall', String(n))
      expect(await one.get('hall')).toBe(String(n))
      if (n % 3 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await until(() => two.lights.get('hall') === '149')
    await settled(['hall'])
    expect(new Set(await values('hall'))).toEqual(new Set(['149']))
    expect(heard.length).toBeLessThanOrEqual(150)
  })

  test('handle every message at least once although one of them is killed in the middle of the load', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'iopa-workers-'))
    const file = join(folder, 'handled')
    await writeFile(file, '')
    const program = await compiled('worker-process')
    const children: ChildProcess[] = []
    const start = async (clientId: string): Promise<ChildProcess> => {
      const { child } = await program.start(broker.url, clientId, file)
      children.push(child)
      return child
    }
    const handled = async (): Promise<Set<string>> => new Set((await readFile(file, 'utf8')).split('\n').slice(0, -1))
    try {
      const [victim] = await Promise.all([start('group-1'), start('group-2'), start('group-3')])
      const count = 800
      const publishing = (async () => {
        for (let n = 0; n < count; n += 50) {
          await Promise.all(Array.from({ length: 50 }, (_, m) => device.publishAsync(`lights/${n + m}`, 'on', { qos: 1 })))
        }
      })()
      await until(async () => (await handled()).size > 100, 10_000)
      const died = once(victim!, 'exit')
      victim!.kill('SIGKILL')
      await died
      expect((await handled()).size).toBeLessThan(count)
      await publishing
      // The supervisor of the processes starts it again, under the identifier for which the broker has kept what it had not acknowledged.
      await start('group-1')
      await until(async () => (await handled()).size === count, 12_000)
    } finally {
      for (const child of children) await program.kill(child)
      program.dispose()
      await rm(folder, { recursive: true, force: true })
    }
  }, 40_000)
})

describeWith(['nats-server'], 'workers on one NATS server', () => {
  setUp(() => nats(), 4)

  test('agree after concurrent PUTs, with at most one state message per change, though it has no shared subscriptions', () =>
    concurrentPuts({ share: 'house' }))

  test('each get the commands of the group, and do not go in circles', async () => {
    const workers = await three({ share: 'house' })
    await device.publishAsync('lights/hall', 'on', { qos: 1 })
    await until(() => workers.every(({ lights }) => lights.get('hall') === 'on'))
    await settled(['hall'])
    expect(workers.map(({ seen }) => seen.filter(({ replica }) => !replica).length)).toEqual([1, 1, 1])
    expect(heard.length).toBeGreaterThan(0)
    expect(heard.length).toBeLessThanOrEqual(3)
  })
})
