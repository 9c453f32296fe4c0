// One state, every protocol: a change by any protocol reaches the observers on all protocols.
import { App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CHANGING, type Credentials, OBSERVING, Town, type Watching } from './cross-protocol-support.ts'
import { until } from './hostile-support.ts'

/** A state that counts its changes, so that going backwards shows. */
interface Versioned {
  readonly version: number
  readonly by: string
}

/** Routes of states at /n/:id, which PUT makes and changes, and what they were asked. */
class States {
  readonly values = new Map<string, Versioned>()
  gets = 0
  version = 0
  /** What a GET waits for, once it has read the state. */
  gate: Promise<void> | null = null

  mount(app: App): App {
    return app
      .use(router())
      .get('/n/:id', async ({ params }) => {
        this.gets++
        const value = this.values.get(params.id)
        if (this.gate !== null) await this.gate
        return value ?? reply(404)
      })
      .put('/n/:id', async context => {
        const { by } = (await context.json()) as { by: string }
        if (by === 'refused') throw new IopaError(422, 'refused', 'Not this one.')
        this.values.set(context.params.id, { version: ++this.version, by })
        context.notify('/all')
        return reply(204)
      })
      .delete('/n/:id', ({ params }) => reply(this.values.delete(params.id) ? 204 : 404))
      .get('/all', () => ({ version: this.version, by: [...this.values.keys()].join() })) as unknown as App
  }
}

const versions = ({ told }: Watching): number[] => told.map(value => (value as Versioned).version)

const expectForwards = (watching: Watching): void => {
  const seen = versions(watching)
  const sorted = [...new Set(seen)].sort((a, b) => a - b)
  // A state may be told twice where a change came while it was read, and never an older one after a newer.
  expect([...new Set(seen)], watching.protocol).toEqual(sorted)
  expect(seen, watching.protocol).toEqual([...seen].sort((a, b) => a - b))
}

const allHear = (all: readonly Watching[], version: number): Promise<void> =>
  until(
    `everybody hears version ${version}`,
    () => all.every(watching => versions(watching).at(-1) === version),
    () => all.map(watching => [watching.protocol, watching.told.at(-1)])
  )

let town: Town
let states: States

const watchAll = (path: string, credentials?: Credentials): Promise<Watching[]> =>
  Promise.all(OBSERVING.map(protocol => town.watch(protocol, path, credentials)))

describe('a state', () => {
  beforeEach(async () => {
    states = new States()
    states.values.set('one', { version: 0, by: 'start' })
    town = await Town.open(states.mount(new App({ logger: false })))
  })

  afterEach(() => town.close())

  test.each(CHANGING)('changed by %s is delivered to the observers of every protocol', async changer => {
    const all = await watchAll('/n/one')
    for (let version = 1; version <= 3; version++) {
      expect(await town.put(changer, '/n/one', { by: changer })).toBeLessThan(300)
      await allHear(all, version)
    }
    for (const watching of all) {
      expectForwards(watching)
      expect(watching.told.at(-1), watching.protocol).toEqual({ version: 3, by: changer })
    }
  })

  test('changed by all protocols at once ends equal for all observers, never goes backwards, and equals GET', async () => {
    const all = [...(await watchAll('/n/one')), ...(await watchAll('/n/one')), ...(await watchAll('/all'))]
    await Promise.all(
      CHANGING.map(async changer => {
        for (let change = 0; change < 20; change++) expect(await town.put(changer, '/n/one', { by: changer })).toBeLessThan(300)
      })
    )
    expect(states.version).toBe(20 * CHANGING.length)
    await allHear(all, states.version)
    for (const watching of all) expectForwards(watching)
    const last = states.values.get('one')
    for (const watching of all.slice(0, 2 * OBSERVING.length)) expect(watching.told.at(-1), watching.protocol).toEqual(last)
    for (const protocol of CHANGING) expect(await town.get(protocol, '/n/one'), protocol).toEqual(last)
  })

  test('changed while an observer gets its first state is delivered again', async () => {
    for (const changer of CHANGING) {
      let open = (): void => undefined
      states.gate = new Promise(resolve => {
        open = resolve
      })
      const { gets } = states
      const watching = watchAll('/n/one')
      await until('every observer reads the old state', () => states.gets >= gets + OBSERVING.length)
      expect(await town.put(changer, '/n/one', { by: changer })).toBeLessThan(300)
      states.gate = null
      open()
      const all = await watching
      await allHear(all, states.version)
      for (const one of all) {
        expectForwards(one)
        await one.stop()
      }
    }
  })

  test('changed while it is being read is read once more', async () => {
    const all = await watchAll('/n/one')
    for (const changer of CHANGING) {
      let open = (): void => undefined
      states.gate = new Promise(resolve => {
        open = resolve
      })
      const { gets } = states
      await town.put('udp', '/n/one', { by: 'udp' })
      await until('the change is being read', () => states.gets > gets)
      expect(await town.put(changer, '/n/one', { by: changer })).toBeLessThan(300)
      states.gate = null
      open()
      await allHear(all, states.version)
      for (const watching of all) expectForwards(watching)
    }
  })

  test.each(CHANGING)('deleted by %s ends its observations with 404, and is an empty message over MQTT, whose subscription stays', async changer => {
    const all = await watchAll('/n/one')
    expect(await town.put(changer, '/n/one', undefined)).toBeLessThan(300)
    for (const watching of all) {
      await until(
        `${watching.protocol} hears the end`,
        () => watching.told.length > 1,
        () => watching.told
      )
      expect(watching.told.at(-1), watching.protocol).toBe(watching.protocol === 'mqtt' ? 'gone' : 'error 404')
      if (watching.protocol !== 'mqtt') await until(`${watching.protocol} ends`, watching.ended)
    }
    await town.put('http', '/n/one', { by: 'again' })
    const subscriber = all.find(({ protocol }) => protocol === 'mqtt') as Watching
    await until(
      'MQTT hears it again',
      () => versions(subscriber).at(-1) === 1,
      () => subscriber.told
    )
    for (const watching of all) if (watching !== subscriber) expect(watching.told.length, watching.protocol).toBe(2)
  })

  test('has the same path in every protocol', async () => {
    const id = 'ä b-%41;=~(ö)'
    states.values.set(id, { version: 0, by: 'start' })
    const all = await watchAll(`/n/${id}`)
    for (const changer of CHANGING) {
      expect(await town.put(changer, `/n/${id}`, { by: changer })).toBeLessThan(300)
      await allHear(all, states.version)
    }
  })

  test('is not delivered when its change is refused', async () => {
    const all = await watchAll('/n/one')
    const before = all.map(({ told }) => told.length)
    const { gets } = states
    for (const changer of CHANGING)
      expect(await town.put(changer, '/n/one', { by: 'refused' }), changer).toBeGreaterThan(changer === 'mqtt' ? 127 : 399)
    expect(states.gets).toBe(gets)
    await town.put('http', '/n/one', { by: 'http' })
    await allHear(all, 1)
    expect(all.map(({ told }) => told.length)).toEqual(before.map(count => count + 1))
  })

  test('without observers costs nothing when it changes, and is not read when it has not changed', async () => {
    states.values.set('two', { version: 0, by: 'start' })
    const { gets } = states
    for (const changer of CHANGING) await town.put(changer, '/n/two', { by: changer })
    expect(states.gets).toBe(gets)
    await watchAll('/n/one')
    const registered = states.gets
    for (const changer of CHANGING) await town.put(changer, '/n/two', { by: changer })
    town.app.notify('/n/three')
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(states.gets).toBe(registered)
  })

  test('is read once for all observers that may share the answer', async () => {
    const all = (await Promise.all(Array.from({ length: 4 }, () => watchAll('/n/one')))).flat()
    const { gets } = states
    await town.put('udp', '/n/one', { by: 'udp' })
    await allHear(all, 1)
    // By Accept: events, those of our clients, and those of MQTT.
    expect(states.gets - gets).toBeLessThanOrEqual(3)
    for (const watching of all) expect(watching.told.length, watching.protocol).toBe(2)
  })

  test('keeps nothing of observers that have left, on any protocol', async () => {
    const { live } = town.app
    for (let round = 0; round < 3; round++) {
      const all = await watchAll('/n/one')
      expect(town.app.live).toBeGreaterThanOrEqual(live + OBSERVING.length)
      await Promise.all(all.map(watching => watching.stop()))
    }
    await until(
      'their contexts have ended',
      () => town.app.live === live,
      () => [live, town.app.live]
    )
    const { gets } = states
    await town.put('http', '/n/one', { by: 'http' })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(states.gets).toBe(gets)
  })
})
