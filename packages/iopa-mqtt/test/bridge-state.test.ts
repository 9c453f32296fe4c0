import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Representation, type StateMessage, StateReplica } from '../src/bridge/state-replica.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload)

interface Step {
  readonly instance: number
  readonly path: string
  readonly value: string
}

/** A broker that orders the messages of all topics, and instances of an app whose handlers take their time; `turn` decides who goes on next. */
class World {
  readonly log: { path: string; value: string }[] = []
  readonly instances: Instance[]
  readonly #turn: () => Promise<unknown>
  readonly #origins: boolean

  constructor(count: number, turn: () => Promise<unknown>, origins = true) {
    this.#turn = turn
    this.#origins = origins
    this.instances = Array.from({ length: count }, (_, index) => new Instance(`i${index}`, this, turn))
  }

  async publish(path: string, { payload, contentType }: Representation, origin: string): Promise<void> {
    await this.#turn()
    this.log.push({ path, value: text(payload) })
    for (const instance of this.instances)
      instance.deliver(path, this.#origins ? { payload, contentType, origin } : { payload, contentType: '', origin: '' })
    await this.#turn()
  }
}

class Instance {
  readonly store = new Map<string, string>()
  readonly applied: string[] = []
  readonly replica: StateReplica
  readonly #turn: () => Promise<unknown>
  readonly #lanes = new Map<string, Promise<void>>()
  timers = new Set<() => void>()

  constructor(name: string, world: World, turn: () => Promise<unknown>) {
    this.#turn = turn
    this.replica = new StateReplica({
      instance: name,
      concurrency: 2,
      maxPending: 10,
      echoTimeout: 1000,
      clock: {
        setTimeout: callback => {
          this.timers.add(callback)
          return callback
        },
        clearTimeout: timer => this.timers.delete(timer as () => void)
      },
      ready: () => Promise.resolve(),
      capture: async path => {
        await turn()
        const value = this.store.get(path)
        return { payload: bytes(value ?? ''), contentType: 'text/plain' }
      },
      replaces: () => true,
      publish: (path, representation, origin) => world.publish(path, representation, origin),
      apply: async (path, message) => {
        await turn()
        this.applied.push(text(message.payload))
        if (message.payload.length === 0) this.store.delete(path)
        else this.store.set(path, text(message.payload))
        await turn()
      },
      failed: (_, error) => {
        throw error
      }
    })
  }

  async put(path: string, value: string): Promise<void> {
    await this.#turn()
    if (value === '') this.store.delete(path)
    else this.store.set(path, value)
    await this.#turn()
    expect(this.replica.changed(path)).toBe(true)
  }

  deliver(path: string, message: StateMessage): void {
    const lane = (this.#lanes.get(path) ?? Promise.resolve()).then(this.#turn).then(() => this.replica.receive(path, message))
    this.#lanes.set(path, lane)
  }

  async settled(): Promise<void> {
    for (;;) {
      const lanes = [...this.#lanes.values()]
      await Promise.all(lanes)
      await this.replica.drained()
      if ([...this.#lanes.values()].every(lane => lanes.includes(lane)) && this.replica.pending === 0) return
    }
  }
}

const steps = (instances: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.record({ instance: fc.nat(instances - 1), path: fc.constantFrom('/a', '/b'), value: fc.constantFrom('', 'x', 'y', 'z') }), {
    minLength: 1,
    maxLength: 12
  })

/** Runs the steps with each instance doing its own one after another, and checks what must hold in every interleaving. */
const run = async (scheduler: fc.Scheduler, script: Step[], instances: number, origins: boolean): Promise<World> => {
  const world = new World(instances, () => scheduler.schedule(Promise.resolve()), origins)
  const done = Promise.all(
    world.instances.map(async (instance, index) => {
      for (const step of script) if (step.instance === index) await instance.put(step.path, step.value)
    })
  ).then(async () => {
    for (let round = 0; round < 3; round++) for (const instance of world.instances) await instance.settled()
  })
  await scheduler.waitFor(done)
  for (const path of ['/a', '/b']) {
    const published = world.log.filter(entry => entry.path === path)
    const changes = script.filter(step => step.path === path).length
    expect(published.length).toBeLessThanOrEqual(changes)
    const values = world.instances.map(instance => instance.store.get(path) ?? '')
    expect(new Set(values).size, `${path}: ${values.join(' ')}`).toBe(1)
    if (published.length > 0) expect(values[0]).toBe(published.at(-1)?.value)
  }
  for (const instance of world.instances) expect(instance.timers.size).toBe(0)
  return world
}

describe('state on a broker', () => {
  test.each([
    ['with user properties', true],
    ['without them (3.1.1)', false]
  ])('converges in every interleaving with at most one message per change, %s', async (_, origins) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), steps(3), async (scheduler, script) => {
        await run(scheduler, script, 3, origins)
      }),
      { numRuns: 300 }
    )
  })

  test('never loses a change of a single writer to the echo of an earlier one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), steps(1), async (scheduler, script) => {
        const world = await run(scheduler, script, 2, true)
        for (const path of ['/a', '/b']) {
          const last = script.findLast(step => step.path === path)
          if (last) expect(world.instances[0]?.store.get(path) ?? '').toBe(last.value)
        }
        expect(world.instances[0]?.applied).toEqual([])
      }),
      { numRuns: 200 }
    )
  })

  const alone = (overrides: Partial<ConstructorParameters<typeof StateReplica>[0]> = {}) => {
    const applied: string[] = []
    const published: { path: string; value: string; origin: string }[] = []
    const failures: unknown[] = []
    const timers = new Set<() => void>()
    const values = new Map<string, string>()
    const replica = new StateReplica({
      instance: 'me',
      concurrency: 4,
      maxPending: 3,
      echoTimeout: 1000,
      clock: {
        setTimeout: callback => {
          timers.add(callback)
          return callback
        },
        clearTimeout: timer => timers.delete(timer as () => void)
      },
      ready: () => Promise.resolve(),
      capture: async path => ({ payload: bytes(values.get(path) ?? ''), contentType: 'text/plain' }),
      replaces: () => true,
      publish: async (path, { payload }, origin) => {
        published.push({ path, value: text(payload), origin })
      },
      apply: async (path, { payload }) => {
        applied.push(`${path}=${text(payload)}`)
      },
      failed: (_, error) => failures.push(error),
      ...overrides
    })
    const fire = (): void => {
      for (const callback of [...timers]) callback()
    }
    return { replica, applied, published, failures, values, fire, timers }
  }
  const foreign = (value: string, origin = 'other:1'): StateMessage => ({ payload: bytes(value), contentType: 'text/plain', origin })
  const soon = () => new Promise(resolve => setImmediate(resolve))

  test('applies that others have deleted a state that they do not take from here, and publishes what is left', async () => {
    for (const replaces of [true, false]) {
      const { replica, applied, published, values } = alone({
        replaces: () => replaces,
        apply: async path => {
          applied.push(path)
          values.delete(path)
        }
      })
      values.set('/whole', 'all')
      replica.changed('/whole')
      await replica.receive('/whole', foreign('', 'other:1'))
      await soon()
      await replica.receive('/whole', foreign('all', published[0]?.origin))
      await soon()
      await soon()
      expect(applied).toEqual(replaces ? [] : ['/whole'])
      expect(published.map(({ value }) => value)).toEqual(replaces ? ['all'] : ['all', ''])
    }
  })

  test('applies messages of others published meanwhile if its own message is refused', async () => {
    const { replica, applied, failures } = alone({
      publish: async () => {
        await soon()
        throw new Error('not authorised')
      }
    })
    replica.changed('/a')
    await replica.receive('/a', foreign('theirs'))
    await replica.drained()
    expect(applied).toEqual(['/a=theirs'])
    expect(failures).toHaveLength(1)
  })

  test('applies messages of others published meanwhile if its own message never returns', async () => {
    const { replica, applied, fire, timers } = alone()
    replica.changed('/a')
    await soon()
    await replica.receive('/a', foreign('one'))
    await replica.receive('/a', foreign('two', 'other:2'))
    expect(applied).toEqual([])
    expect(timers.size).toBe(1)
    fire()
    await replica.drained()
    expect(applied).toEqual(['/a=two'])
    expect(replica.pending).toBe(0)
  })

  test('applies its own message when it arrives a second time, as other workers do', async () => {
    const { replica, applied, published, values } = alone()
    values.set('/a', 'mine')
    replica.changed('/a')
    await soon()
    const own = foreign('mine', published[0]?.origin)
    await replica.receive('/a', own)
    await replica.receive('/a', foreign('theirs'))
    await replica.receive('/a', own)
    await replica.drained()
    expect(applied).toEqual(['/a=theirs', '/a=mine'])
  })

  test('publishes nothing that the topic already has', async () => {
    const { replica, published, values } = alone()
    await replica.receive('/a', foreign('on'))
    values.set('/a', 'on')
    replica.changed('/a')
    await replica.drained()
    expect(published).toEqual([])
    replica.forget()
    replica.changed('/a')
    await soon()
    expect(published).toMatchObject([{ path: '/a', value: 'on' }])
  })

  test('publishes a value again after another one was sent, though that never came back', async () => {
    const { replica, published, values, fire } = alone()
    await replica.receive('/a', foreign('on'))
    values.set('/a', 'off')
    replica.changed('/a')
    await soon()
    fire()
    await replica.drained()
    values.set('/a', 'on')
    replica.changed('/a')
    await soon()
    expect(published.map(({ value }) => value)).toEqual(['off', 'on'])
  })

  test('gathers the changes of a path while there is no connection, and refuses further paths over its bound', async () => {
    let connect = (): void => {}
    const connected = new Promise<void>(resolve => {
      connect = resolve
    })
    const { replica, published, values } = alone({ ready: () => connected })
    for (let n = 0; n < 100; n++) {
      values.set('/a', String(n))
      expect(replica.changed('/a')).toBe(true)
    }
    expect([replica.changed('/b'), replica.changed('/c'), replica.changed('/d')]).toEqual([true, true, false])
    connect()
    await soon()
    expect(published.filter(({ path }) => path === '/a').map(({ value }) => value)).toEqual(['99'])
  })

  test('continues when a path has nothing to share', async () => {
    const { replica, published, applied } = alone({ capture: async () => null })
    replica.changed('/a')
    await replica.receive('/a', foreign('theirs'))
    await replica.drained()
    expect(published).toEqual([])
    expect(applied).toEqual(['/a=theirs'])
  })

  test('publishes again if the topic has another content type, or was seen too many topics ago', async () => {
    const { replica, published, values } = alone()
    values.set('/a', 'on')
    await replica.receive('/a', { ...foreign('on'), contentType: 'application/json' })
    replica.changed('/a')
    await soon()
    expect(published.length).toBe(1)
    const other = alone()
    other.values.set('/a', 'on')
    for (const path of ['/a', '/b', '/c', '/d']) await other.replica.receive(path, foreign('on'))
    other.replica.changed('/a')
    await soon()
    expect(other.published.length).toBe(1)
  })
})
